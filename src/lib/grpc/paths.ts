/** The methods of the CloudEvents service, as HTTP/2 paths. */

export const PUBLISH = "/io.cloudevents.v1.CloudEventService/Publish";
export const SUBSCRIBE = "/io.cloudevents.v1.CloudEventService/Subscribe";
