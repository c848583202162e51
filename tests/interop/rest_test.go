package interop

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

var httpClient = &http.Client{Timeout: 10 * time.Second}

// newCluster registers a cluster of this test's own at our server and returns its name.
func newCluster(t *testing.T) string {
	t.Helper()
	name := "c" + newID()
	response, err := httpClient.Post(
		setting(t, "REST")+"/api/maestro/v1/consumers", "application/json", strings.NewReader(`{"name":"`+name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		content, _ := io.ReadAll(response.Body)
		t.Fatalf("cannot create the consumer: %d %s", response.StatusCode, content)
	}
	return name
}
