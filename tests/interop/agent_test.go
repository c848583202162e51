package interop

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	workclient "open-cluster-management.io/api/client/work/clientset/versioned/typed/work/v1"
	informers "open-cluster-management.io/api/client/work/informers/externalversions"
	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/options"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/statushash"
	clientstore "open-cluster-management.io/sdk-go/pkg/cloudevents/clients/store"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work"
	agentclient "open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/agent/client"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/agent/codec"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/payload"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/store"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/clients"
	genericoptions "open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/grpc"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/mqtt"
	cetypes "open-cluster-management.io/sdk-go/pkg/cloudevents/generic/types"
)

// peerAgent is an agent made of the official libraries, as the work agent wires them; the test decides
// what it reports.
type peerAgent struct {
	cluster string
	works   workclient.ManifestWorkInterface
}

func startAgent(t *testing.T, config any, cluster string) *peerAgent {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	holder, err := work.NewAgentClientHolder(ctx, options.NewGenericClientOptions(
		config, codec.NewManifestBundleCodec(), cluster+"-work-agent",
	).WithClusterName(cluster).WithClientWatcherStore(store.NewAgentInformerWatcherStore()))
	if err != nil {
		t.Fatalf("cannot start an agent: %v", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(
		holder.WorkInterface(), 5*time.Minute, informers.WithNamespace(cluster))
	go factory.Work().V1().ManifestWorks().Informer().Run(ctx.Done())
	return &peerAgent{cluster, holder.ManifestWorks(cluster)}
}

// startOldAgent is the same on the libraries' older transport, which is deprecated and still out there.
func startOldAgent(t *testing.T, config any, cluster string) *peerAgent {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	id := cluster + "-work-agent"
	var transport *genericoptions.CloudEventsAgentOptions
	switch config := config.(type) {
	case *grpc.GRPCOptions:
		transport = grpc.NewAgentOptions(config, cluster, id, payload.ManifestBundleEventDataType)
	case *mqtt.MQTTOptions:
		transport = mqtt.NewAgentOptions(config, cluster, id)
	}
	works := store.NewAgentInformerWatcherStore()
	client, err := clients.NewCloudEventAgentClient(ctx, transport,
		clientstore.NewAgentWatcherStoreLister(works), statushash.StatusHash, codec.NewManifestBundleCodec())
	if err != nil {
		t.Fatalf("cannot start an agent: %v", err)
	}
	watch, err := works.GetWatcher(ctx, cluster, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		// Nobody looks at the changes, but the store waits for somebody to take them.
		for range watch.ResultChan() {
		}
	}()
	client.Subscribe(ctx, works.HandleReceivedResource)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-client.SubscribedChan():
				// One that fails is made up for by the next connection.
				_ = client.Resync(ctx, cetypes.SourceAll)
			}
		}
	}()
	agent := agentclient.NewManifestWorkAgentClient(ctx, cluster, works, client)
	agent.SetNamespace(cluster)
	return &peerAgent{cluster, agent}
}

func (a *peerAgent) all(t *testing.T) []workv1.ManifestWork {
	t.Helper()
	list, err := a.works.List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// get returns the agent's copy of a work, or nil.
func (a *peerAgent) get(t *testing.T, uid types.UID) *workv1.ManifestWork {
	t.Helper()
	for _, work := range a.all(t) {
		if work.UID == uid {
			return &work
		}
	}
	return nil
}

// has waits until the agent holds this generation of a work, and returns its copy.
func (a *peerAgent) has(t *testing.T, uid types.UID, generation int64) *workv1.ManifestWork {
	t.Helper()
	var found *workv1.ManifestWork
	eventually(t, "the agent has the work", func() string {
		found = a.get(t, uid)
		return unless(found != nil && found.Generation == generation, "it has %s", text(found))
	})
	return found
}

// tryPatch changes the agent's copy of a work; a change of the status is published.
func (a *peerAgent) tryPatch(work *workv1.ManifestWork, patch any, subresources ...string) error {
	content, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = a.works.Patch(
		context.Background(), work.Name, types.MergePatchType, content, metav1.PatchOptions{}, subresources...)
	return err
}

// report publishes a status, again and again until it is taken, as the work agent's controllers do.
func (a *peerAgent) report(t *testing.T, uid types.UID, text string) {
	t.Helper()
	eventually(t, "the agent can report "+text, func() string {
		work := a.get(t, uid)
		if work == nil {
			return "it has no such work"
		}
		err := a.tryPatch(work, map[string]any{"status": applied(work, text)}, "status")
		return unless(err == nil, "%v", err)
	})
}

// finalize marks a work as one whose objects must be removed before it may go.
func (a *peerAgent) finalize(t *testing.T, uid types.UID, finalizers ...string) {
	t.Helper()
	patch := map[string]any{"metadata": map[string]any{"finalizers": finalizers}}
	if err := a.tryPatch(a.get(t, uid), patch); err != nil {
		t.Fatal(err)
	}
}

// mustDelete waits until the agent is told to delete a work.
func (a *peerAgent) mustDelete(t *testing.T, uid types.UID) {
	t.Helper()
	eventually(t, "the agent is told to delete the work", func() string {
		work := a.get(t, uid)
		return unless(work != nil && !work.DeletionTimestamp.IsZero(), "it has %s", text(work))
	})
}
