package interop

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/clients/common"
)

// beyondDoubles is the first integer that a double cannot hold.
const beyondDoubles = "9007199254740993"

func newID() string { return strings.ReplaceAll(uuid.NewString(), "-", "")[:16] }

// configMap is a manifest that every cluster can take.
func configMap(name, value string) workv1.Manifest {
	return manifest(map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata":   map[string]any{"name": name, "namespace": "default"},
		"data":       map[string]any{"value": value},
	})
}

func manifest(object any) workv1.Manifest {
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return workv1.Manifest{RawExtension: runtime.RawExtension{Raw: raw}}
}

// newWork is a work of its own for a cluster, not stored anywhere yet.
func newWork(cluster string, manifests ...workv1.Manifest) *workv1.ManifestWork {
	name := "w" + newID()
	if len(manifests) == 0 {
		manifests = []workv1.Manifest{configMap(name, "1")}
	}
	return &workv1.ManifestWork{
		ObjectMeta: metav1.ObjectMeta{
			UID:             types.UID(uuid.NewString()),
			Name:            name,
			Namespace:       cluster,
			ResourceVersion: "0",
			Labels:          map[string]string{"interop": name},
		},
		Spec: workv1.ManifestWorkSpec{Workload: workv1.ManifestsTemplate{Manifests: manifests}},
	}
}

// withContent is the work with other manifests, of this generation.
func withContent(work *workv1.ManifestWork, generation int64, value string) *workv1.ManifestWork {
	changed := work.DeepCopy()
	changed.Generation = generation
	changed.ResourceVersion = strconv.FormatInt(generation, 10)
	changed.Spec.Workload.Manifests = []workv1.Manifest{configMap(work.Name, value)}
	return changed
}

// deleting is the work as its source wants it gone.
func deleting(work *workv1.ManifestWork) *workv1.ManifestWork {
	changed := work.DeepCopy()
	now := metav1.Now()
	changed.DeletionTimestamp = &now
	return changed
}

// applied is the status of an agent that has applied this generation; the text comes back as feedback.
func applied(work *workv1.ManifestWork, text string) workv1.ManifestWorkStatus {
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	condition := func(kind string) metav1.Condition {
		return metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: kind + "Complete", Message: text,
			ObservedGeneration: work.Generation, LastTransitionTime: now,
		}
	}
	big := int64(9007199254740993)
	raw := fmt.Sprintf(`{"serial":%s,"text":%q}`, beyondDoubles, text)
	return workv1.ManifestWorkStatus{
		Conditions: []metav1.Condition{condition("Applied"), condition("Available")},
		ResourceStatus: workv1.ManifestResourceStatus{Manifests: []workv1.ManifestCondition{{
			ResourceMeta: workv1.ManifestResourceMeta{
				Version: "v1", Kind: "ConfigMap", Resource: "configmaps", Name: work.Name, Namespace: "default",
			},
			StatusFeedbacks: workv1.StatusFeedbackResult{Values: []workv1.FeedbackValue{
				{Name: "serial", Value: workv1.FieldValue{Type: workv1.Integer, Integer: &big}},
				{Name: "status", Value: workv1.FieldValue{Type: workv1.JsonRaw, JsonRaw: &raw}},
			}},
			Conditions: []metav1.Condition{condition("Applied")},
		}}},
	}
}

// said is the message of the work's Applied condition.
func said(work *workv1.ManifestWork) string {
	if work == nil {
		return "no such work"
	}
	if condition := meta.FindStatusCondition(work.Status.Conditions, "Applied"); condition != nil {
		return condition.Message
	}
	return "no status"
}

func isDeleted(work *workv1.ManifestWork) bool {
	return work != nil && meta.IsStatusConditionTrue(work.Status.Conditions, common.ResourceDeleted)
}

// text is a work as JSON, to look for what must be in it.
func text(value any) string {
	content, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(content)
}
