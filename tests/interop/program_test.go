// Package interop drives our server and our agent with the published Go client libraries.
//
// Each test runs in a process of its own. The program that started it has set up our side, says in the
// environment where it is, and does to it what a test asks for.
package interop

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/klog/v2"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/clients"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/builder"
)

const patience = 40 * time.Second

func TestMain(m *testing.M) {
	// The libraries wait five seconds to two minutes before they connect again: too long for a test.
	clients.DelayFn = func() time.Duration { return 300 * time.Millisecond }
	klog.LogToStderr(true)
	os.Exit(m.Run())
}

// setting returns what the starting program has put into the environment.
func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv("INTEROP_" + name)
	if value == "" {
		t.Fatalf("INTEROP_%s is not set", name)
	}
	return value
}

// transport is "grpc" or "mqtt": how an agent and its source reach each other.
func transport(t *testing.T) string { return setting(t, "TRANSPORT") }

// loadConfig reads a configuration file of the libraries, as their users do.
func loadConfig(t *testing.T, kind, path string) any {
	t.Helper()
	_, config, err := builder.NewConfigLoader(kind, path).LoadConfig()
	if err != nil {
		t.Fatalf("cannot load %s: %v", path, err)
	}
	return config
}

// agentConfig is how an agent, or a source without a server between, reaches the other side.
func agentConfig(t *testing.T) any { return loadConfig(t, transport(t), setting(t, "CONFIG")) }

var answers = bufio.NewReader(os.Stdin)
var asking sync.Mutex

// ask has the starting program do something to our side, and returns when it is done.
func ask(t *testing.T, what string) {
	t.Helper()
	asking.Lock()
	defer asking.Unlock()
	fmt.Printf("\nask: %s\n", what)
	answer, err := answers.ReadString('\n')
	if err == nil && strings.TrimSpace(answer) != "done" {
		err = errors.New(strings.TrimSpace(answer))
	}
	if err != nil {
		t.Fatalf("asked for %q: %v", what, err)
	}
}

// eventually polls until probe returns an empty string; what it returned last says what is still wrong.
func eventually(t *testing.T, what string, probe func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		wrong := probe()
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%.100s: did not happen within %s; at last %.2000s", what, patience, wrong)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// unless is "" if it holds, and otherwise the text.
func unless(holds bool, format string, args ...any) string {
	if holds {
		return ""
	}
	return fmt.Sprintf(format, args...)
}
