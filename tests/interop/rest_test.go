package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

const api = "/api/maestro/v1"

var httpClient = &http.Client{Timeout: 10 * time.Second}

// rest calls our server as any HTTP client does; numbers in the answer keep their digits.
func rest(t *testing.T, method, path string, body any) (int, map[string]any, string) {
	t.Helper()
	status, text, err := tryRest(setting(t, "REST"), method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	document := map[string]any{}
	if len(text) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&document); err != nil {
			t.Fatalf("%s %s answers %d %q: %v", method, path, status, text, err)
		}
	}
	return status, document, string(text)
}

func tryRest(server, method, path string, body any) (int, []byte, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequest(method, server+api+path, bytes.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := httpClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// newCluster registers a cluster of this test's own and returns its name.
func newCluster(t *testing.T) string {
	t.Helper()
	name := "c" + newID()
	if status, _, text := rest(t, http.MethodPost, "/consumers", map[string]string{"name": name}); status != 201 {
		t.Fatalf("cannot create the consumer: %d %s", status, text)
	}
	return name
}

// bundle asks for a resource bundle by its id.
func bundle(t *testing.T, id string) (int, map[string]any, string) {
	t.Helper()
	return rest(t, http.MethodGet, "/resource-bundles/"+id, nil)
}

// untilGone waits until REST no longer knows the bundle.
func untilGone(t *testing.T, id string) {
	t.Helper()
	eventually(t, "the bundle is gone from REST", func() string {
		status, _, text := bundle(t, id)
		return unless(status == http.StatusNotFound, "%d %s", status, text)
	})
}

// field reads a value below nested objects, as text.
func field(document map[string]any, names ...string) string {
	var value any = document
	for _, name := range names {
		object, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = object[name]
	}
	return fmt.Sprint(value)
}
