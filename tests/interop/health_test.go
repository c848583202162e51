package interop

import (
	"context"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/runtime"
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
