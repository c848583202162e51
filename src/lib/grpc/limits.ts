/** What one connection may do, as types: the settings of grpc-go's server that mean something here. */

export interface GrpcLimits {
  /** Largest message accepted, and largest one sent, in bytes. */
  receiveBytesMax: number;
  sendBytesMax: number;
  /** Calls under way at once on one connection. */
  callsMax: number;
  /** What a client may take until it speaks HTTP/2, and from the start of a request to its end. */
  connectionTimeoutMs: number;
  /** A connection is replaced when it is about so old; undefined for never. */
  ageMs?: number;
  /** A client that pings more often is told to calm down. */
  clientPingMinMs: number;
  isPingWithoutStreamAllowed: boolean;
  /** We ping this often, and give a client up that does not answer within the time-out. */
  pingMs: number;
  pingTimeoutMs: number;
}
