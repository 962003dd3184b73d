/** The name of the protocol that a tunnel's connection is upgraded to. */
export const TUNNEL_PROTOCOL = 'proa-tunnel-1'
