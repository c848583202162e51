package interop

import (
	"net/http"
	"net/url"
	"testing"
)

// TestMaestroClient makes the REST calls of the Maestro source client, which is not published as a module.
func TestMaestroClient(t *testing.T) {
	cluster := newCluster(t)
	source := startSource(t, sourceConfig(t), viaV2)
	agent := startAgent(t, agentConfig(t), cluster)
	work := source.create(t, newWork(cluster))
	id := string(work.UID)
	agent.has(t, work.UID, 1)
	agent.report(t, work.UID, "shown")
	source.hears(t, work.UID, "shown")

	status, document, content := bundle(t, id)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, content)
	}
	for _, expected := range []struct {
		want string
		path []string
	}{
		{id, []string{"id"}},
		{"ResourceBundle", []string{"kind"}},
		{cluster, []string{"consumer_name"}},
		{"1", []string{"version"}},
		{work.Name, []string{"metadata", "name"}},
		{work.Name, []string{"metadata", "labels", "interop"}},
		{cluster, []string{"metadata", "namespace"}},
		{"1", []string{"status", "ObservedVersion"}},
	} {
		if got := field(document, expected.path...); got != expected.want {
			t.Errorf("%v is %q and not %q in %s", expected.path, got, expected.want, content)
		}
	}

	status, document, content = bundle(t, "6b8ae8a0-0000-4000-8000-000000000000")
	if status != http.StatusNotFound || field(document, "kind") != "Error" || field(document, "code") != "maestro-7" {
		t.Errorf("a bundle that does not exist is answered with %d %s", status, content)
	}

	query := "?search=" + url.QueryEscape("consumer_name = '"+cluster+"'") + "&page=1&size=400"
	status, document, content = rest(t, http.MethodGet, "/resource-bundles"+query, nil)
	if status != http.StatusOK || field(document, "total") != "1" {
		t.Logf("search is answered with %d %s", status, content)
	}
}
