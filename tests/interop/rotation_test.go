package interop

import (
	"crypto/tls"
	"fmt"
	"testing"

	workv1 "open-cluster-management.io/api/work/v1"
	"open-cluster-management.io/sdk-go/pkg/cloudevents/generic/options/grpc"
)

// TestRotation has every certificate replaced again and again while statuses come up and specs go down.
func TestRotation(t *testing.T) {
	cluster := newCluster(t)
	toServer, toAgents := sourceConfig(t), agentConfig(t)
	sourceRoad, agentRoad := through(t, toServer), through(t, toAgents)
	source := startSource(t, toServer, viaGRPC)
	agent := startAgent(t, toAgents, cluster)
	works := []*workv1.ManifestWork{}
	for range 5 {
		work := source.create(t, newWork(cluster))
		agent.has(t, work.UID, 1)
		works = append(works, work)
	}

	for round := 1; round <= 3; round++ {
		shown := serial(t, toServer)
		sources, agents := sourceRoad.connections(), agentRoad.connections()
		rotated := make(chan bool)
		go func() {
			defer close(rotated)
			ask(t, "rotate the certificates")
		}()
		for isRotated := false; !isRotated; {
			for _, work := range works {
				agent.report(t, work.UID, fmt.Sprintf("in round %d", round))
			}
			select {
			case <-rotated:
				isRotated = sourceRoad.connections() > sources && agentRoad.connections() > agents
			default:
			}
		}
		eventually(t, "our server shows its new certificate", func() string {
			return unless(serial(t, toServer) != shown, "it shows %s", shown)
		})
		for _, work := range works {
			source.update(t, work, int64(round), fmt.Sprintf("of round %d", round))
		}
		for _, work := range works {
			agent.has(t, work.UID, int64(round)+1)
			agent.report(t, work.UID, fmt.Sprintf("after round %d", round))
		}
		for _, work := range works {
			source.hears(t, work.UID, fmt.Sprintf("after round %d", round))
		}
	}
}

// serial is the number of the certificate that a server shows to a new client.
func serial(t *testing.T, config *grpc.GRPCOptions) string {
	t.Helper()
	number := ""
	eventually(t, "the server takes a connection", func() string {
		client := config.Dialer.TLSConfig.Clone()
		client.NextProtos = []string{"h2"}
		conn, err := tls.Dial("tcp", config.Dialer.URL, client)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		number = conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
		return ""
	})
	return number
}
