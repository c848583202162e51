package interop

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/types"
)

func TestRoad(t *testing.T)          { road(t, viaGRPC, startAgent) }
func TestRoadOldSource(t *testing.T) { road(t, viaOldGRPC, startAgent) }
func TestRoadOldAgent(t *testing.T)  { road(t, viaGRPC, startOldAgent) }

// road takes a work from an official source through our server to an official agent, and back.
func road(t *testing.T, via sourceOptions, start func(*testing.T, any, string) *peerAgent) {
	cluster := newCluster(t)
	source := startSource(t, sourceConfig(t), via)
	agent := start(t, agentConfig(t), cluster)
	work := source.create(t, newWork(cluster))

	received := agent.has(t, work.UID, 1)
	if received.Name != string(work.UID) || received.Labels["interop"] != work.Name {
		t.Errorf("the agent's work has other metadata: %s", text(received.ObjectMeta))
	}
	agent.finalize(t, work.UID, workv1.ManifestWorkFinalizer)
	agent.report(t, work.UID, "first")
	heard := source.hears(t, work.UID, "first")
	if heard.Name != work.Name || len(heard.Spec.Workload.Manifests) != 1 {
		t.Errorf("the source gets back another work than it created: %s", text(heard))
	}

	source.update(t, work, 1, "2")
	received = agent.has(t, work.UID, 2)
	if !strings.Contains(text(received.Spec), `"value":"2"`) {
		t.Errorf("the agent has generation 2 without its content: %s", text(received.Spec))
	}
	agent.report(t, work.UID, "second")
	if heard = source.hears(t, work.UID, "second"); heard.Generation != 2 {
		t.Errorf("the status is of generation %d", heard.Generation)
	}

	status, read := readBundle(t, work.UID)
	if status != http.StatusOK || read.Version != 2 || read.Status.ObservedVersion != 2 || len(read.Manifests) != 1 {
		t.Errorf("REST answers %d and shows %s", status, text(read))
	}
	search := fmt.Sprintf("consumer_name='%s' and payload->'metadata'->'labels'@>'{\"interop\":\"%s\"}'", cluster, work.Name)
	if found := searchBundles(t, search); len(found) != 1 || found[0].ID != string(work.UID) {
		t.Errorf("the search %s finds %s", search, text(found))
	}

	source.delete(t, work)
	agent.mustDelete(t, work.UID)
	agent.finalize(t, work.UID)
	source.hearsDeleted(t, work.UID)
	if status, read = readBundle(t, work.UID); status != http.StatusNotFound || read.Code != "maestro-7" {
		t.Errorf("after the deletion REST answers %d and %s", status, text(read))
	}

	// Only an id that is free can be taken, and begins at its first version.
	source.create(t, work)
	agent.has(t, work.UID, 1)
}

func TestStaleUpdate(t *testing.T) {
	cluster := newCluster(t)
	source := startSource(t, sourceConfig(t), viaGRPC)
	work := source.create(t, newWork(cluster))
	source.update(t, work, 1, "2")

	err := source.tryPublish(types.UpdateRequestAction, withContent(work, 1, "3"))

	if err == nil || !strings.Contains(err.Error(), "the resource version is not the latest") {
		t.Errorf("a stale update is answered with %v", err)
	}
	received := startAgent(t, agentConfig(t), cluster).has(t, work.UID, 2)
	if !strings.Contains(text(received.Spec), `"value":"2"`) {
		t.Errorf("a stale update has changed the work: %s", text(received.Spec))
	}
}

func TestBigIntegers(t *testing.T) {
	cluster := newCluster(t)
	source := startSource(t, sourceConfig(t), viaGRPC)
	agent := startAgent(t, agentConfig(t), cluster)
	work := newWork(cluster)
	work.Spec.Workload.Manifests = []workv1.Manifest{{}}
	work.Spec.Workload.Manifests[0].Raw = []byte(`{"apiVersion":"example.com/v1","kind":"Thing","metadata":{` +
		`"name":"thing"},"spec":{"serial":` + beyondDoubles + `,"negative":-` + beyondDoubles + `,"ratio":1.0}}`)
	source.create(t, work)

	received := text(agent.has(t, work.UID, 1).Spec)
	for _, number := range []string{`"serial":` + beyondDoubles, `"negative":-` + beyondDoubles, `"ratio":1.0`} {
		if !strings.Contains(received, number) {
			t.Errorf("the agent lost %s: %s", number, received)
		}
	}
	agent.report(t, work.UID, "counted")

	status := text(source.hears(t, work.UID, "counted"))
	for _, number := range []string{
		`"integer":` + beyondDoubles, `{\"serial\":` + beyondDoubles, `"serial":` + beyondDoubles,
	} {
		if !strings.Contains(status, number) {
			t.Errorf("the source lost %s: %s", number, status)
		}
	}
}

func TestAgentAway(t *testing.T) {
	cluster := newCluster(t)
	source := startSource(t, sourceConfig(t), viaGRPC)
	config := agentConfig(t)
	road := through(t, config)
	agent := startAgent(t, config, cluster)
	same, changed, removed := newWork(cluster), newWork(cluster), newWork(cluster)
	for _, work := range []*workv1.ManifestWork{same, changed, removed} {
		source.create(t, work)
		agent.has(t, work.UID, 1)
		agent.finalize(t, work.UID, workv1.ManifestWorkFinalizer)
		agent.report(t, work.UID, "before")
		source.hears(t, work.UID, "before")
	}

	road.cut()
	added := source.create(t, newWork(cluster))
	source.update(t, changed, 1, "2")
	source.delete(t, removed)
	road.mend()

	agent.has(t, added.UID, 1)
	agent.has(t, changed.UID, 2)
	agent.mustDelete(t, removed.UID)
	agent.finalize(t, removed.UID)
	source.hearsDeleted(t, removed.UID)
	if agent.get(t, same.UID).Generation != 1 {
		t.Error("a work that nobody touched has changed")
	}
}

func TestSourceAway(t *testing.T) {
	cluster := newCluster(t)
	config := sourceConfig(t)
	road := through(t, config)
	source := startSource(t, config, viaGRPC)
	witness := startSourceAs(t, source.id, sourceConfig(t), viaGRPC)
	agent := startAgent(t, agentConfig(t), cluster)
	changed, removed := newWork(cluster), newWork(cluster)
	for _, work := range []*workv1.ManifestWork{changed, removed} {
		source.create(t, work)
		agent.has(t, work.UID, 1)
		agent.finalize(t, work.UID, workv1.ManifestWorkFinalizer)
		agent.report(t, work.UID, "before")
		source.hears(t, work.UID, "before")
	}
	source.delete(t, removed)
	agent.mustDelete(t, removed.UID)

	road.cut()
	agent.report(t, changed.UID, "meanwhile")
	agent.finalize(t, removed.UID)
	witness.hears(t, changed.UID, "meanwhile")
	witness.hearsDeleted(t, removed.UID)
	// It may not say "before" any more: the library answers the server's question with the status that it read
	// before a report which it has sent meanwhile. Our server asks again half a minute later.
	if said(source.last(changed.UID)) == "meanwhile" || isDeleted(source.last(removed.UID)) {
		t.Fatalf("the source was not away: it heard %s", text(source.all()))
	}
	road.mend()

	source.hears(t, changed.UID, "meanwhile")
	source.hearsDeleted(t, removed.UID)
}

// TestRestart stops and starts our server while both sides are connected and busy.
func TestRestart(t *testing.T) {
	cluster := newCluster(t)
	toSources, toAgents := sourceConfig(t), agentConfig(t)
	through(t, toSources)
	through(t, toAgents)
	source := startSource(t, toSources, viaGRPC)
	agent := startAgent(t, toAgents, cluster)
	works := []*workv1.ManifestWork{}
	for range 10 {
		works = append(works, source.create(t, newWork(cluster)))
	}
	for _, work := range works {
		agent.has(t, work.UID, 1)
	}

	restarted := make(chan bool)
	go func() {
		defer close(restarted)
		ask(t, "restart the server")
	}()
	for round := 0; ; round++ {
		for _, work := range works {
			agent.report(t, work.UID, fmt.Sprintf("round %d", round))
		}
		select {
		case <-restarted:
		default:
			continue
		}
		break
	}
	added := source.create(t, newWork(cluster))
	for _, work := range works {
		agent.report(t, work.UID, "last")
	}

	for _, work := range works {
		source.hears(t, work.UID, "last")
	}
	agent.has(t, added.UID, 1)
}

// TestStatusLost has the broker lose statuses that it had taken, and what the agent asks when it is back:
// only our server can find out, by asking itself.
func TestStatusLost(t *testing.T) {
	cluster := newCluster(t)
	toSources := sourceConfig(t)
	through(t, toSources)
	source := startSource(t, toSources, viaGRPC)
	agent := startAgent(t, agentConfig(t), cluster)
	works := []*workv1.ManifestWork{newWork(cluster), newWork(cluster)}
	for _, work := range works {
		source.create(t, work)
		agent.has(t, work.UID, 1)
		agent.report(t, work.UID, "before")
		source.hears(t, work.UID, "before")
	}

	ask(t, "stop the server")
	agent.report(t, works[0].UID, "lost")
	ask(t, "restart the broker")
	agent.report(t, works[1].UID, "lost as well")
	ask(t, "start the server")

	source.hears(t, works[0].UID, "lost")
	source.hears(t, works[1].UID, "lost as well")
}

// TestFrozen stops our server without closing a connection: only the heartbeats that fail to come tell.
func TestFrozen(t *testing.T) {
	cluster := newCluster(t)
	config := sourceConfig(t)
	source := startSource(t, config, viaGRPC)
	agent := startAgent(t, agentConfig(t), cluster)
	work := source.create(t, newWork(cluster))
	agent.has(t, work.UID, 1)
	// As long as heartbeats come, both stay connected.
	time.Sleep(2 * *config.ServerHealthinessTimeout)
	if lost := silences(); lost != 0 {
		t.Fatalf("%d connections were given up while the server was well", lost)
	}

	ask(t, "freeze the server")
	eventually(t, "both clients notice", func() string {
		return unless(silences() >= 2, "%d connections were given up", silences())
	})
	ask(t, "thaw the server")

	source.update(t, work, 1, "2")
	agent.has(t, work.UID, 2)
	agent.report(t, work.UID, "after")
	source.hears(t, work.UID, "after")
}

// TestBigStatus brings up a status that nearly fills a message of the libraries' limit of 4 MiB.
func TestBigStatus(t *testing.T) {
	cluster := newCluster(t)
	source := startSource(t, sourceConfig(t), viaGRPC)
	agent := startAgent(t, agentConfig(t), cluster)
	work := source.create(t, newWork(cluster))
	agent.has(t, work.UID, 1)

	// The text is in the status twice: as it is, and as feedback.
	big := strings.Repeat("0123456789abcdef", 1900*1024/16/3)
	agent.report(t, work.UID, big)

	if heard := source.hears(t, work.UID, big); len(text(heard)) < 3*len(big) {
		t.Errorf("the source heard only %d bytes", len(text(heard)))
	}
}

// TestTooBigStatus brings up a status that fits alone, but not together with the spec that our server adds
// for sources: it must not keep the source from what else there is.
func TestTooBigStatus(t *testing.T) {
	cluster := newCluster(t)
	source := startSource(t, sourceConfig(t), viaGRPC)
	agent := startAgent(t, agentConfig(t), cluster)
	padding := strings.Repeat("x", 200*1024)
	big := source.create(t, newWork(cluster, configMap("a", padding), configMap("b", padding)))
	other := source.create(t, newWork(cluster))
	agent.has(t, big.UID, 1)
	agent.has(t, other.UID, 1)

	agent.report(t, big.UID, strings.Repeat("0123456789abcdef", 3900*1024/16/4))
	agent.report(t, other.UID, "other")
	source.hears(t, other.UID, "other")
	agent.report(t, other.UID, "again")
	source.hears(t, other.UID, "again")
	if heard := source.last(big.UID); heard != nil {
		t.Logf("of the big one the source heard %d bytes", len(text(heard)))
	}
}
