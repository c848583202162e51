package interop

import (
	"context"
	"sync"
	"testing"

	kubetypes "k8s.io/apimachinery/pkg/types"
	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/statushash"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/payload"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/source/codec"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/clients"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/grpc"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/mqtt"
	v2grpc "open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/v2/grpc"
	v2mqtt "open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/v2/mqtt"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/types"
)

// peerSource is a source made of the official libraries: of our server, or of an agent behind a broker.
type peerSource struct {
	id     string
	client *clients.CloudEventSourceClient[*workv1.ManifestWork]
	mu     sync.Mutex
	// What it wants, with the last status that came.
	works map[kubetypes.UID]*workv1.ManifestWork
	// Every status that came, in order.
	heard []*workv1.ManifestWork
}

// sourceOptions picks a transport of the libraries.
type sourceOptions func(config any, id string) *options.CloudEventsSourceOptions

func viaGRPC(config any, id string) *options.CloudEventsSourceOptions {
	return v2grpc.NewSourceOptions(config.(*grpc.GRPCOptions), id, payload.ManifestBundleEventDataType)
}

// viaOldGRPC is deprecated, and what the Maestro client still uses.
func viaOldGRPC(config any, id string) *options.CloudEventsSourceOptions {
	return grpc.NewSourceOptions(config.(*grpc.GRPCOptions), id, payload.ManifestBundleEventDataType)
}

// viaOldMQTT is deprecated, and still out there.
func viaOldMQTT(config any, id string) *options.CloudEventsSourceOptions {
	return mqtt.NewSourceOptions(config.(*mqtt.MQTTOptions), "client-"+newID(), id)
}

func viaMQTT(config any, id string) *options.CloudEventsSourceOptions {
	return v2mqtt.NewSourceOptions(config.(*mqtt.MQTTOptions), "client-"+newID(), id)
}

// sourceConfig is how sources reach our server.
func sourceConfig(t *testing.T) *grpc.GRPCOptions {
	return loadConfig(t, "grpc", setting(t, "SOURCES")).(*grpc.GRPCOptions)
}

func startSource(t *testing.T, config any, via sourceOptions) *peerSource {
	t.Helper()
	return startSourceAs(t, "s"+newID(), config, via)
}

func startSourceAs(t *testing.T, id string, config any, via sourceOptions) *peerSource {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := &peerSource{id: id, works: map[kubetypes.UID]*workv1.ManifestWork{}}
	client, err := clients.NewCloudEventSourceClient(
		ctx, via(config, id), s, statushash.StatusHash, codec.NewManifestBundleCodec())
	if err != nil {
		t.Fatalf("cannot start a source: %v", err)
	}
	s.client = client
	client.Subscribe(ctx, s.hear)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-client.SubscribedChan():
				// One that fails is made up for by the next connection.
				_ = client.Resync(ctx, types.ClusterAll)
			}
		}
	}()
	return s
}

// List is for the library: it asks what to put into a resync.
func (s *peerSource) List(context.Context, types.ListOptions) ([]*workv1.ManifestWork, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	works := []*workv1.ManifestWork{}
	for _, work := range s.works {
		works = append(works, work.DeepCopy())
	}
	return works, nil
}

func (s *peerSource) hear(_ context.Context, work *workv1.ManifestWork) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, work)
	if known, ok := s.works[work.UID]; ok {
		known.Status = work.Status
	}
	return nil
}

// get returns a work with its last status.
func (s *peerSource) get(uid kubetypes.UID) *workv1.ManifestWork {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.works[uid].DeepCopy()
}

// last returns the last status event of a work, or nil.
func (s *peerSource) last(uid kubetypes.UID) *workv1.ManifestWork {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.heard) - 1; i >= 0; i-- {
		if s.heard[i].UID == uid {
			return s.heard[i].DeepCopy()
		}
	}
	return nil
}

// all is every status that came, in order.
func (s *peerSource) all() []*workv1.ManifestWork {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*workv1.ManifestWork{}, s.heard...)
}

// hears waits for a status with this text.
func (s *peerSource) hears(t *testing.T, uid kubetypes.UID, text string) *workv1.ManifestWork {
	t.Helper()
	eventually(t, "the source hears "+text, func() string {
		return unless(said(s.last(uid)) == text, "it heard %q", said(s.last(uid)))
	})
	return s.last(uid)
}

// hearsDeleted waits until the source is told that a work is gone from its cluster.
func (s *peerSource) hearsDeleted(t *testing.T, uid kubetypes.UID) {
	t.Helper()
	eventually(t, "the source hears of the deletion", func() string {
		return unless(isDeleted(s.last(uid)), "it heard %s", text(s.last(uid)))
	})
}

func (s *peerSource) tryPublish(action types.EventAction, work *workv1.ManifestWork) error {
	return s.client.Publish(context.Background(), types.CloudEventsType{
		CloudEventsDataType: payload.ManifestBundleEventDataType,
		SubResource:         types.SubResourceSpec,
		Action:              action,
	}, work)
}

// want sets what the source answers to agents that ask.
func (s *peerSource) want(work *workv1.ManifestWork) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.works[work.UID] = work.DeepCopy()
}

func (s *peerSource) forget(uid kubetypes.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.works, uid)
}

func (s *peerSource) publish(t *testing.T, action types.EventAction, work *workv1.ManifestWork) {
	t.Helper()
	s.want(work)
	eventually(t, "the source can publish", func() string {
		err := s.tryPublish(action, work)
		return unless(err == nil, "%v", err)
	})
}

func (s *peerSource) create(t *testing.T, work *workv1.ManifestWork) *workv1.ManifestWork {
	t.Helper()
	s.publish(t, types.CreateRequestAction, work)
	return work
}

// update sends other manifests on top of the version that our server has.
func (s *peerSource) update(t *testing.T, work *workv1.ManifestWork, version int64, value string) {
	t.Helper()
	s.publish(t, types.UpdateRequestAction, withContent(work, version, value))
}

func (s *peerSource) delete(t *testing.T, work *workv1.ManifestWork) {
	t.Helper()
	s.publish(t, types.DeleteRequestAction, deleting(work))
}
