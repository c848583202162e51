package interop

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/runtime"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/grpc"
)

var silent atomic.Int64

func init() {
	runtime.ErrorHandlers = append(runtime.ErrorHandlers, func(_ context.Context, err error, _ string, _ ...any) {
		if err != nil && strings.Contains(err.Error(), "no heartbeat received") {
			silent.Add(1)
		}
	})
}

// silences counts the connections that clients gave up because no heartbeat came.
func silences() int64 { return silent.Load() }

// healthConfig is an agent's configuration that asks for heartbeats.
func healthConfig(t *testing.T, timeout time.Duration) any {
	config := agentConfig(t)
	config.(*grpc.GRPCOptions).ServerHealthinessTimeout = &timeout
	return config
}
