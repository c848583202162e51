package interop

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
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

const bundlesPath = "/api/maestro/v1/resource-bundles"

// bundle is what the ManifestWork client of the Go server reads of a resource bundle.
type bundle struct {
	ID           string         `json:"id"`
	Kind         string         `json:"kind"`
	Code         string         `json:"code"`
	ConsumerName string         `json:"consumer_name"`
	Version      int32          `json:"version"`
	Manifests    []any          `json:"manifests"`
	Metadata     map[string]any `json:"metadata"`
	Status       struct {
		ObservedVersion int32
	} `json:"status"`
}

// getJSON reads what REST answers to a GET of this path, and its status.
func getJSON(t *testing.T, path string, into any) int {
	t.Helper()
	response, err := httpClient.Get(setting(t, "REST") + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("GET %s is answered with %d and no JSON: %v", path, response.StatusCode, err)
	}
	return response.StatusCode
}

// readBundle reads a work as the client does before each of its writes.
func readBundle(t *testing.T, uid types.UID) (int, bundle) {
	t.Helper()
	var found bundle
	status := getJSON(t, bundlesPath+"/"+string(uid), &found)
	return status, found
}

// searchBundles lists what passes a search, as the client's informer does.
func searchBundles(t *testing.T, search string) []bundle {
	t.Helper()
	var list struct {
		Kind  string   `json:"kind"`
		Total int      `json:"total"`
		Items []bundle `json:"items"`
	}
	query := url.Values{"search": {search}, "page": {"1"}, "size": {"400"}}
	if status := getJSON(t, bundlesPath+"?"+query.Encode(), &list); status != http.StatusOK {
		t.Fatalf("the search %s is answered with %d", search, status)
	}
	if list.Kind != "ResourceBundleList" || list.Total != len(list.Items) {
		t.Errorf("the search %s finds %d of %d in a %s", search, len(list.Items), list.Total, list.Kind)
	}
	return list.Items
}
