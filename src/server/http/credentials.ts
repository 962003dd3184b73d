/**
 * What a connection and the headers of a request prove: the client's certificate, by the authority that signed it, and the bearer token.
 * TLS has checked that a known authority signed the certificate; users and front proxies have different ones, and here it is told which.
 */
import { X509Certificate } from 'node:crypto'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import type { Credentials } from '../authentication/authenticator.ts'
import type { WireRequest } from './request.ts'

/** PEM, one or several certificates each. */
export interface Authorities {
  readonly clientCa?: string
  readonly frontProxyCa?: string
}

export interface CredentialsReader {
  of(request: WireRequest): Credentials
  setAuthorities(authorities: Authorities): void
}

type Proof = Omit<Credentials, 'bearerToken'>

const NOTHING: Proof = {}
/** The attribute of a subject that holds a user's UID (KEP-4317). */
const UID_ATTRIBUTE = '1.3.6.1.4.1.57683.2'
/** Longer chains than this are nobody's. */
const MAX_CHAIN = 10

export function createCredentialsReader(given: Authorities): CredentialsReader {
  let clients = certificatesOf(given.clientCa)
  let proxies = certificatesOf(given.frontProxyCa)
  /** Read once for a connection: it stays what it was when it was made. */
  const known = new WeakMap<object, Proof>()

  function proofOf(socket: TLSSocket): Proof {
    const peer = socket.getPeerCertificate?.() as PeerCertificate | undefined
    if (!peer?.subject) return NOTHING
    if (!socket.authorized) return { hasBadCertificate: true }
    const leaf = socket.getPeerX509Certificate()
    const isUser = leadsTo(leaf, clients)
    const isProxy = leadsTo(leaf, proxies)
    if (!isUser && !isProxy) return { hasBadCertificate: true }
    const subject = peer.subject as unknown as Readonly<Record<string, string | readonly string[] | undefined>>
    const commonName = all(subject['CN'])[0] ?? ''
    const [uid = ''] = all(subject[UID_ATTRIBUTE])
    const fingerprint = peer.fingerprint256.replaceAll(':', '').toLowerCase()
    const certificate = { commonName, organizations: all(subject['O']), ...(uid === '' ? {} : { uid }), fingerprint }
    return { ...(isUser ? { certificate } : {}), ...(isProxy ? { proxyName: commonName } : {}) }
  }

  return {
    of({ socket, headers: { authorization } }) {
      // Over HTTP/2 `socket` is a proxy of the session's socket, another for each session.
      let proof = known.get(socket)
      if (!proof) {
        proof = proofOf(socket as TLSSocket)
        known.set(socket, proof)
      }
      if (authorization === undefined) return proof
      const bearerToken = /^Bearer +(\S+)\s*$/i.exec(authorization)?.[1]
      return bearerToken === undefined ? proof : { ...proof, bearerToken }
    },
    setAuthorities({ clientCa, frontProxyCa }) {
      clients = certificatesOf(clientCa)
      proxies = certificatesOf(frontProxyCa)
    },
  }
}

const certificatesOf = (pem = ''): readonly X509Certificate[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((text) => new X509Certificate(text))

function leadsTo(leaf: X509Certificate | undefined, authorities: readonly X509Certificate[]): boolean {
  let current = leaf
  for (let length = 0; current && length < MAX_CHAIN; length++) {
    const certificate = current
    if (authorities.some((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey))) return true
    current = certificate.issuerCertificate
  }
  return false
}

const all = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value
