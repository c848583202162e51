package interop

import (
	"strings"
	"testing"

	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/types"
)

func TestOurAgentRoad(t *testing.T) {
	hub, _ := startHub(t)
	ourAgentRoad(t, hub)
}

func TestOurAgentRoadOldSource(t *testing.T) {
	linkToBroker(t)
	ourAgentRoad(t, mqttHub{startSourceAs(t, hubSource, agentConfig(t), viaOldMQTT)})
}

// ourAgentRoad is the life of a work of an official source at our agent.
func ourAgentRoad(t *testing.T, hub hub) {
	t.Helper()
	work := hubWork(t)

	hub.send(types.CreateRequestAction, work)
	status := untilApplied(t, hub, work.UID, 1)
	if status.Name != work.Name || status.Labels["interop"] != work.Name {
		t.Errorf("the status has other metadata: %s", text(status.ObjectMeta))
	}
	manifests := status.Status.ResourceStatus.Manifests
	if len(manifests) != 1 || manifests[0].ResourceMeta.Resource != "configmaps" {
		t.Errorf("the status has other manifests: %s", text(manifests))
	}

	hub.send(types.UpdateRequestAction, withContent(work, 2, "2"))
	untilApplied(t, hub, work.UID, 2)

	hub.send(types.DeleteRequestAction, deleting(withContent(work, 2, "2")))
	untilDeleted(t, hub, work.UID)
}

func TestOurAgentIntegers(t *testing.T) {
	hub, _ := startHub(t)
	work := hubWork(t, workv1.Manifest{})
	work.Spec.Workload.Manifests[0].Raw = []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` +
		work.Name + `","namespace":"default"},"serial":` + beyondDoubles + `,"parts":{"negative":-` + beyondDoubles + `}}`)
	work.Spec.ManifestConfigs = []workv1.ManifestConfigOption{{
		ResourceIdentifier: workv1.ResourceIdentifier{Resource: "configmaps", Name: work.Name, Namespace: "default"},
		FeedbackRules: []workv1.FeedbackRule{{Type: workv1.JSONPathsType, JsonPaths: []workv1.JsonPath{
			{Name: "serial", Path: ".serial"}, {Name: "parts", Path: ".parts"},
		}}},
	}}

	hub.send(types.CreateRequestAction, work)

	eventually(t, "both numbers come back", func() string {
		said := text(hub.last(work.UID))
		return unless(
			strings.Contains(said, `"integer":`+beyondDoubles) &&
				strings.Contains(said, `{\"negative\":-`+beyondDoubles+`}`), "%s", said)
	})
}

func TestOurAgentAway(t *testing.T) {
	hub, road := startHub(t)
	same, changed, removed, forgotten := hubWork(t), hubWork(t), hubWork(t), hubWork(t)
	for _, work := range []*workv1.ManifestWork{same, changed, removed, forgotten} {
		hub.send(types.CreateRequestAction, work)
		untilApplied(t, hub, work.UID, 1)
	}

	road.cut()
	added := hubWork(t)
	hub.send(types.CreateRequestAction, added)
	hub.send(types.UpdateRequestAction, withContent(changed, 2, "2"))
	hub.send(types.DeleteRequestAction, deleting(removed))
	hub.forget(forgotten.UID)
	if transport(t) == "mqtt" {
		// Otherwise the broker keeps for our agent what it missed, and it has no reason to ask.
		ask(t, "restart the broker")
	}
	road.mend()

	untilApplied(t, hub, added.UID, 1)
	untilApplied(t, hub, changed.UID, 2)
	untilDeleted(t, hub, removed.UID)
	untilDeleted(t, hub, forgotten.UID)
	if isDeleted(hub.last(same.UID)) {
		t.Error("a work that nobody touched was deleted")
	}
}

// TestSourceRestarted has a source come back that knows its works, but no status of them.
func TestSourceRestarted(t *testing.T) {
	first, _ := startHub(t)
	work := hubWork(t)
	first.send(types.CreateRequestAction, work)
	untilApplied(t, first, work.UID, 1)

	second := mqttHub{startSourceAs(t, hubSource, agentConfig(t), viaMQTT)}
	second.want(work)
	// It asked when it had subscribed, maybe before it knew the work: then for everything.
	untilApplied(t, second, work.UID, 1)
}

// TestOurAgentHeartbeats freezes the connection: only the heartbeats that fail to come tell our agent.
func TestOurAgentHeartbeats(t *testing.T) {
	hub, road := startHub(t)
	work := hubWork(t)
	hub.send(types.CreateRequestAction, work)
	untilApplied(t, hub, work.UID, 1)
	before := road.connections()

	road.freeze()
	hub.send(types.UpdateRequestAction, withContent(work, 2, "2"))

	eventually(t, "our agent connects anew", func() string {
		return unless(road.connections() > before, "it has made %d connections", road.connections())
	})
	untilApplied(t, hub, work.UID, 2)
}
