package interop

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubetypes "k8s.io/apimachinery/pkg/types"
	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/payload"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/source/codec"
	pb "open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/grpc/protobuf/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/types"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/server"
	grpcserver "open-cluster-management.io/sdk-go/pkg/cloudevents/server/grpc"
)

// hub owns the works of our agent, without our server between.
type hub interface {
	// send stores a work as it must be, and tells the agent if it can.
	send(action types.EventAction, work *workv1.ManifestWork)
	// forget removes a work without a word.
	forget(uid kubetypes.UID)
	// last is the last status that came of a work, or nil.
	last(uid kubetypes.UID) *workv1.ManifestWork
}

const hubSource = "maestro"

// linkToBroker is the way of our agent to the MQTT broker.
func linkToBroker(t *testing.T) *link {
	return startLink(t, setting(t, "LISTEN"), setting(t, "BROKER"))
}

// startHub starts a hub that our agent reaches over the returned link.
func startHub(t *testing.T) (hub, *link) {
	t.Helper()
	if transport(t) == "mqtt" {
		road := linkToBroker(t)
		return mqttHub{startSourceAs(t, hubSource, agentConfig(t), viaMQTT)}, road
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broker := grpcserver.NewGRPCBroker(&grpcserver.BrokerOptions{HeartbeatCheckInterval: time.Second})
	h := &grpcHub{works: map[kubetypes.UID]*workv1.ManifestWork{}, statuses: map[kubetypes.UID]*workv1.ManifestWork{}}
	broker.RegisterService(context.Background(), payload.ManifestBundleEventDataType, h)
	program := grpc.NewServer()
	pb.RegisterCloudEventServiceServer(program, broker)
	go program.Serve(listener)
	t.Cleanup(program.Stop)
	return h, startLink(t, setting(t, "LISTEN"), listener.Addr().String())
}

type mqttHub struct{ *peerSource }

func (h mqttHub) send(action types.EventAction, work *workv1.ManifestWork) {
	h.want(work)
	// Who is away asks when it is back.
	_ = h.tryPublish(action, work)
}

// grpcHub is the service behind the official gRPC broker.
type grpcHub struct {
	mu       sync.Mutex
	handler  server.EventHandler
	works    map[kubetypes.UID]*workv1.ManifestWork
	statuses map[kubetypes.UID]*workv1.ManifestWork
}

var bundles = codec.NewManifestBundleCodec()

func (h *grpcHub) List(_ context.Context, options types.ListOptions) ([]*cloudevents.Event, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := []*cloudevents.Event{}
	for _, work := range h.works {
		event, err := encode(types.ResyncResponseAction, work)
		if err != nil {
			return nil, err
		}
		if work.Namespace == options.ClusterName {
			events = append(events, event)
		}
	}
	return events, nil
}

func (h *grpcHub) HandleStatusUpdate(_ context.Context, event *cloudevents.Event) error {
	work, err := bundles.Decode(event)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.statuses[work.UID] = work
	return nil
}

func (h *grpcHub) RegisterHandler(_ context.Context, handler server.EventHandler) {
	h.handler = handler
}

func (h *grpcHub) send(action types.EventAction, work *workv1.ManifestWork) {
	h.mu.Lock()
	h.works[work.UID] = work
	h.mu.Unlock()
	if event, err := encode(action, work); err == nil {
		_ = h.handler.HandleEvent(context.Background(), event)
	}
}

func (h *grpcHub) forget(uid kubetypes.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.works, uid)
}

func (h *grpcHub) last(uid kubetypes.UID) *workv1.ManifestWork {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.statuses[uid].DeepCopy()
}

func encode(action types.EventAction, work *workv1.ManifestWork) (*cloudevents.Event, error) {
	return bundles.Encode(hubSource, types.CloudEventsType{
		CloudEventsDataType: payload.ManifestBundleEventDataType,
		SubResource:         types.SubResourceSpec,
		Action:              action,
	}, work)
}

// hubWork is a work of its first version for our agent.
func hubWork(t *testing.T, manifests ...workv1.Manifest) *workv1.ManifestWork {
	work := newWork(setting(t, "CLUSTER"), manifests...)
	work.Generation = 1
	work.ResourceVersion = "1"
	return work
}

// untilApplied waits until our agent says that it has applied this generation, and returns the status.
func untilApplied(t *testing.T, h hub, uid kubetypes.UID, generation int64) *workv1.ManifestWork {
	t.Helper()
	var status *workv1.ManifestWork
	eventually(t, "our agent has applied the work", func() string {
		status = h.last(uid)
		if status == nil {
			return "it said nothing"
		}
		for _, kind := range []string{"Applied", "Available"} {
			condition := meta.FindStatusCondition(status.Status.Conditions, kind)
			if condition == nil || condition.Status != metav1.ConditionTrue || condition.ObservedGeneration != generation {
				return text(status)
			}
		}
		return ""
	})
	return status
}

func untilDeleted(t *testing.T, h hub, uid kubetypes.UID) {
	t.Helper()
	eventually(t, "our agent has deleted the work", func() string {
		return unless(isDeleted(h.last(uid)), "it said %s", text(h.last(uid)))
	})
}
