package interop

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/grpc"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/mqtt"
)

// link carries TCP connections to another address, until it is cut.
//
// New connections wait as long as it is cut or nobody listens there, and are not refused: the libraries can
// miss that one was refused, and then never try again.
type link struct {
	listener net.Listener
	mu       sync.Mutex
	isCut    bool
	conns    map[net.Conn]bool
	// How many connections were let through.
	count int
	// Where what a connection sends goes when it was frozen: nowhere.
	frozen map[net.Conn]bool
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
	l := &link{listener: listener, conns: map[net.Conn]bool{}, frozen: map[net.Conn]bool{}}
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
	far := l.dial(near, to)
	for far == nil {
		time.Sleep(20 * time.Millisecond)
		far = l.dial(near, to)
	}
	defer far.Close()
	go func() {
		io.Copy(&thawed{far, l}, near)
		far.Close()
	}()
	io.Copy(&thawed{near, l}, far)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, near)
	delete(l.conns, far)
}

// thawed writes to a connection unless it is frozen.
type thawed struct {
	net.Conn
	link *link
}

func (t *thawed) Write(content []byte) (int, error) {
	t.link.mu.Lock()
	isFrozen := t.link.frozen[t.Conn]
	t.link.mu.Unlock()
	if isFrozen {
		return len(content), nil
	}
	return t.Conn.Write(content)
}

// dial connects to the other address, or returns nil if that is not possible now.
func (l *link) dial(near net.Conn, to string) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil
	}
	far, err := net.Dial("tcp", to)
	if err != nil {
		return nil
	}
	l.conns[near], l.conns[far] = true, true
	l.count++
	return far
}

// connections counts those that were let through so far.
func (l *link) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// freeze carries nothing any more on the connections there are, and closes none.
func (l *link) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		l.frozen[conn] = true
	}
}

// cut breaks every connection, and has new ones wait.
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
