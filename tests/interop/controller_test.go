package interop

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	informers "open-cluster-management.io/api/client/work/informers/externalversions"
	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/common"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/options"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/source/codec"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/work/store"
)

// TestController owns a work as controllers do, by the official work client and its informer.
func TestController(t *testing.T) {
	linkToBroker(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	cache := store.NewSourceInformerWatcherStore(ctx)
	holder, err := work.NewSourceClientHolder(ctx, options.NewGenericClientOptions(
		agentConfig(t), codec.NewManifestBundleCodec(), "client-"+newID(),
	).WithSourceID(hubSource).WithClientWatcherStore(cache))
	if err != nil {
		t.Fatal(err)
	}
	factory := informers.NewSharedInformerFactory(holder.WorkInterface(), 5*time.Minute)
	informer := factory.Work().V1().ManifestWorks().Informer()
	cache.SetInformer(informer)
	go informer.Run(ctx.Done())
	eventually(t, "the informer is ready", func() string { return unless(informer.HasSynced(), "it is not") })
	works := holder.ManifestWorks(setting(t, "CLUSTER"))

	wanted := newWork(setting(t, "CLUSTER"))
	wanted.UID, wanted.ResourceVersion = "", ""
	setVersion(wanted, "1")
	eventually(t, "the work is created", func() string {
		_, err := works.Create(ctx, wanted, metav1.CreateOptions{})
		return unless(err == nil, "%v", err)
	})
	observes := func(generation int64) {
		t.Helper()
		eventually(t, "our agent has applied the work", func() string {
			found, err := works.Get(ctx, wanted.Name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			applied := meta.FindStatusCondition(found.Status.Conditions, workv1.WorkApplied)
			return unless(applied != nil && applied.ObservedGeneration == generation, "it said %s", text(found.Status))
		})
	}
	observes(1)

	changed := withContent(wanted, 2, "2")
	setVersion(changed, "2")
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": changed.Annotations},
		"spec":     changed.Spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := works.Patch(ctx, wanted.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	observes(2)

	if err := works.Delete(ctx, wanted.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the work is gone", func() string {
		found, err := works.Get(ctx, wanted.Name, metav1.GetOptions{})
		return unless(errors.IsNotFound(err), "%v %s", err, text(found))
	})
}

// setVersion says which version of its spec a work is, where the client looks for it.
func setVersion(work *workv1.ManifestWork, version string) {
	work.Annotations = map[string]string{common.CloudEventsResourceVersionAnnotationKey: version}
}
