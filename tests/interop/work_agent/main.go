// The published Go work agent as a program, wired as the Go Maestro wires it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openshift/library-go/pkg/controller/controllercmd"
	"github.com/openshift/library-go/pkg/operator/events"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"open-cluster-management.io/api/feature"
	"open-cluster-management.io/ocm/pkg/common/options"
	"open-cluster-management.io/ocm/pkg/features"
	"open-cluster-management.io/ocm/pkg/work/spoke"
)

func run(ctx context.Context) error {
	gates := features.SpokeMutableFeatureGate
	if err := gates.Add(feature.DefaultSpokeWorkFeatureGates); err != nil {
		return err
	}
	if err := gates.SetFromMap(map[string]bool{string(feature.RawFeedbackJsonString): true}); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("INTEROP_KUBECONFIG"))
	if err != nil {
		return err
	}
	common := options.NewAgentOptions()
	common.SpokeClusterName = os.Getenv("INTEROP_CLUSTER")
	agent := spoke.NewWorkloadAgentOptions()
	agent.StatusSyncInterval = 2 * time.Second
	agent.WorkloadSourceDriver = os.Getenv("INTEROP_TRANSPORT")
	agent.WorkloadSourceConfig = os.Getenv("INTEROP_CONFIG")
	agent.CloudEventsClientID = common.SpokeClusterName + "-work-agent"
	return spoke.NewWorkAgentConfig(common, agent).RunWorkloadAgent(ctx, &controllercmd.ControllerContext{
		KubeConfig:    config,
		EventRecorder: events.NewInMemoryRecorder("work-agent", clock.RealClock{}),
	})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
