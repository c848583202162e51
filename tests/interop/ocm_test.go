package interop

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/openshift-online/ocm-sdk-go"
	ocmerrors "github.com/openshift-online/ocm-sdk-go/errors"
	"k8s.io/apimachinery/pkg/types"
)

const (
	resourcesPath = "/api/maestro/v1/resources"
	consumersPath = "/api/maestro/v1/consumers"
)

// seedResource is the one that the first README posts, for this cluster.
func seedResource(cluster string, version int) string {
	return text(map[string]any{
		"consumer_name": cluster,
		"version":       version,
		"manifest": map[string]any{
			"apiVersion": "apps/v1",
			"kind":       "Deployment",
			"metadata":   map[string]any{"name": "nginx", "namespace": "default"},
			"spec": map[string]any{
				"replicas": version,
				"selector": map[string]any{"matchLabels": map[string]any{"app": "nginx"}},
				"template": map[string]any{
					"metadata": map[string]any{"labels": map[string]any{"app": "nginx"}},
					"spec": map[string]any{
						"containers": []any{map[string]any{"image": "nginxinc/nginx-unprivileged", "name": "nginx"}},
					},
				},
			},
		},
	})
}

// resource is what a user of ocm looks for in a Resource.
type resource struct {
	ID           string
	Kind         string
	Href         string
	ConsumerName string `json:"consumer_name"`
	Version      int
	Manifest     map[string]any
	CreatedAt    string `json:"created_at"`
	UpdatedAt    string `json:"updated_at"`
	Status       *struct {
		ContentStatus   any
		ReconcileStatus struct {
			Conditions      []map[string]any
			ObservedVersion int
			SequenceID      string
		}
	}
}

// ocm does what the command does: it sends a request of the SDK and reads its JSON.
func ocm(t *testing.T, request *sdk.Request, path string, body string, want int, into any) *sdk.Response {
	t.Helper()
	request.Path(path)
	if body != "" {
		request.String(body)
	}
	response, err := request.Send()
	if err != nil {
		t.Fatalf("%s %s: %v", request.GetMethod(), path, err)
	}
	if response.Status() != want {
		t.Fatalf("%s %s is answered with %d %s", request.GetMethod(), path, response.Status(), response.String())
	}
	if into != nil {
		if err := json.Unmarshal(response.Bytes(), into); err != nil {
			t.Fatalf("%s %s is answered with %s: %v", request.GetMethod(), path, response.String(), err)
		}
	}
	return response
}

func TestOcm(t *testing.T) {
	// curl, before the login.
	anonymous, err := httpClient.Get(setting(t, "REST") + resourcesPath)
	if err != nil {
		t.Fatal(err)
	}
	refusal, _ := io.ReadAll(anonymous.Body)
	anonymous.Body.Close()
	wanted := `{"kind":"Error","id":"401","href":"/api/maestro/errors/401","code":"API-401",` +
		`"reason":"Request doesn't contain the 'Authorization' header or the 'cs_jwt' cookie"}`
	if anonymous.StatusCode != http.StatusUnauthorized || string(refusal) != wanted {
		t.Errorf("without a token the answer is %d %s", anonymous.StatusCode, refusal)
	}

	// ocm login --token=… --url=…
	connection, err := sdk.NewConnectionBuilder().
		URL(setting(t, "REST")).Tokens(setting(t, "TOKEN")).Insecure(true).RetryLimit(0).Build()
	if err != nil {
		t.Fatalf("cannot connect: %v", err)
	}
	defer connection.Close()

	// ocm get /api/maestro/v1/resources, before there is any.
	var list struct {
		Items             []resource
		Kind              string
		Page, Size, Total int
	}
	ocm(t, connection.Get(), resourcesPath, "", http.StatusOK, &list)
	if list.Items == nil || len(list.Items) != 0 || list.Kind != "ResourceList" || list.Page != 1 || list.Total != 0 {
		t.Errorf("the empty list is %s", text(list))
	}

	// ocm post /api/maestro/v1/consumers
	cluster := "c" + newID()
	var consumer map[string]any
	ocm(t, connection.Post(), consumersPath, `{"name":"`+cluster+`"}`, http.StatusCreated, &consumer)
	if consumer["kind"] != "Consumer" || consumer["name"] != cluster ||
		consumer["href"] != consumersPath+"/"+consumer["id"].(string) {
		t.Errorf("the consumer is %s", text(consumer))
	}

	// ocm post /api/maestro/v1/resources
	var created resource
	ocm(t, connection.Post(), resourcesPath, seedResource(cluster, 1), http.StatusCreated, &created)
	if created.Kind != "Resource" || created.Version != 1 || created.ConsumerName != cluster ||
		created.Href != resourcesPath+"/"+created.ID || created.CreatedAt == "" || created.Status != nil {
		t.Errorf("the resource is %s", text(created))
	}
	agent := startAgent(t, agentConfig(t), cluster)
	uid := types.UID(created.ID)
	work := agent.has(t, uid, 1)
	if len(work.Spec.Workload.Manifests) != 1 || !strings.Contains(text(work.Spec), `"nginxinc/nginx-unprivileged"`) {
		t.Errorf("the agent has %s", text(work.Spec))
	}
	agent.finalize(t, uid, "test/finalizer")
	agent.report(t, uid, "applied")

	// ocm get /api/maestro/v1/resources, until its agent has reported.
	eventually(t, "the list shows the status", func() string {
		ocm(t, connection.Get(), resourcesPath, "", http.StatusOK, &list)
		found := list.Total == 1 && list.Items[0].Status != nil
		return unless(found && list.Items[0].Status.ReconcileStatus.ObservedVersion == 1, "%s", text(list))
	})
	shown := list.Items[0]
	if shown.ID != created.ID || shown.Status.ReconcileStatus.SequenceID == "" ||
		shown.Status.ReconcileStatus.Conditions == nil || shown.Manifest["kind"] != "Deployment" {
		t.Errorf("the resource is shown as %s", text(shown))
	}

	// ocm patch, by one who has seen the version and by one who has not.
	var changed resource
	path := resourcesPath + "/" + created.ID
	ocm(t, connection.Patch(), path, strings.Replace(seedResource(cluster, 2), `"version":2`, `"version":1`, 1),
		http.StatusOK, &changed)
	if changed.Version != 2 {
		t.Errorf("the changed resource is %s", text(changed))
	}
	response := ocm(t, connection.Patch(), path, seedResource(cluster, 1), http.StatusConflict, nil)
	refused, err := ocmerrors.UnmarshalErrorStatus(response.Bytes(), response.Status())
	if err != nil || refused.Code() != "maestro-6" || refused.OperationID() == "" ||
		refused.Reason() != "the resource version is not the latest, the latest version: 2" {
		t.Errorf("a stale change is refused with %s: %v", response.String(), err)
	}
	agent.has(t, uid, 2)

	// ocm delete
	ocm(t, connection.Delete(), path, "", http.StatusNoContent, nil)
	agent.mustDelete(t, uid)
	agent.finalize(t, uid)
	eventually(t, "the resource is gone", func() string {
		response, err := connection.Get().Path(path).Send()
		return unless(err == nil && response.Status() == http.StatusNotFound, "%v", err)
	})
}
