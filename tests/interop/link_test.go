package interop

import (
	"io"
	"net"
	"sync"
	"testing"

	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/grpc"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/mqtt"
)

// link carries TCP connections to another address, until it is cut.
type link struct {
	listener net.Listener
	mu       sync.Mutex
	isCut    bool
	conns    map[net.Conn]bool
}

// startLink listens at from (":0" of the loopback if empty) and connects to the address.
func startLink(t *testing.T, from, to string) *link {
	t.Helper()
	if from == "" {
		from = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { listener.Close(); l.cut() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(near, to)
		}
	}()
	return l
}

// through makes a client's configuration go over a new link.
func through(t *testing.T, config any) *link {
	t.Helper()
	switch options := config.(type) {
	case *grpc.GRPCOptions:
		l := startLink(t, "", options.Dialer.URL)
		options.Dialer.URL = l.listener.Addr().String()
		return l
	case *mqtt.MQTTOptions:
		l := startLink(t, "", options.Dialer.BrokerHost)
		options.Dialer.BrokerHost = l.listener.Addr().String()
		return l
	}
	t.Fatalf("no link for %T", config)
	return nil
}

func (l *link) carry(near net.Conn, to string) {
	defer near.Close()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	if !l.add(near, far) {
		return
	}
	go func() {
		io.Copy(far, near)
		far.Close()
	}()
	io.Copy(near, far)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, near)
	delete(l.conns, far)
}

func (l *link) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		l.conns[conn] = true
	}
	return !l.isCut
}

// cut breaks every connection and refuses new ones.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for conn := range l.conns {
		conn.Close()
	}
}

// mend lets connections through again.
func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}
