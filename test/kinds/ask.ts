/** Asks a server in this process as its administrator, and stores what the cases need to be there. */
import type { KubeObject } from '../../src/api/object.ts'
import { findResource } from '../../src/api/resources.ts'
import { parseApiVersion } from '../../src/api/schema.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { TokenSigner } from '../../src/server/authentication/tokens.ts'
import { createAdmission } from '../../src/server/admission/index.ts'
import { createServiceAllocator } from '../../src/server/resources/core/service-allocator.ts'
import { resourcesWith } from '../../src/server/resources/index.ts'
import { startServer } from '../../src/server/server.test-support.ts'
import { casesOf, collectionPath, seedsOf, world, type Ask, type Case } from './cases.ts'

const administrator = {
  name: 'kubernetes-admin',
  groups: ['system:masters', 'system:authenticated'],
  extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${'0'.repeat(64)}`] },
}

/** What it signs nobody looks at. */
const tokenSigner: TokenSigner = {
  issuer: 'https://kubernetes.default.svc.cluster.local',
  audiences: ['https://kubernetes.default.svc.cluster.local'],
  sign: () => 'eyJ.signed',
  verify: () => undefined,
  signatureFault: () => undefined,
  jwks: () => ({ keys: [] }),
}

const parse = (bytes: Uint8Array): KubeObject => JSON.parse(new TextDecoder().decode(bytes)) as KubeObject

const refuse = (): Promise<never> => Promise.reject(new Error('no case has something made beside it'))

export async function askInProcess(test: { after(run: () => Promise<void>): void }): Promise<Ask> {
  const { server } = await startServer(test, {
    tokenSigner,
    resources: resourcesWith(createServiceAllocator({ cidr: '10.96.0.0/16', random: seededRandom(1) })),
    admission: (registry, authorizer) => createAdmission({ registry, authorizer, create: refuse, dynamic: [] }),
  })
  const transport = server.transport(administrator)
  const { signal } = new AbortController()
  return async (method, path, body) => {
    const { pathname, searchParams } = new URL(path, 'http://x')
    const sent = body === undefined ? {} : { body: { bytes: new TextEncoder().encode(JSON.stringify(body)) } }
    const headers = { 'content-type': 'application/json' }
    const reply = await transport({ method, path: decodeURIComponent(pathname), query: searchParams, headers, signal, ...sent })
    const { status, warnings = [] } = reply
    if (reply.type === 'object') return { code: status, body: parse(reply.stored.bytes), warnings }
    if (reply.type === 'raw' && reply.body instanceof Uint8Array) return { code: status, body: parse(reply.body), warnings }
    throw new Error(`${method} ${path}: ${reply.type}`)
  }
}

export async function storeWorld(ask: Ask): Promise<void> {
  for (const object of world()) {
    const info = findResource({ ...parseApiVersion(object.apiVersion ?? ''), kind: object.kind ?? '' })!
    const { code, body } = await ask('POST', collectionPath(info, object.metadata?.namespace), object)
    if (code !== 201 && code !== 409) throw new Error(JSON.stringify(body))
  }
}

/** The answers to a file's cases in their order, with the cases' names; empty where `isWanted` does not choose the case's number. */
export async function answersTo(
  file: string,
  ask: Ask,
  isWanted: (index: number) => boolean,
): Promise<readonly (readonly [name: string, answer: string])[]> {
  const answers: (readonly [string, string])[] = []
  const answer = async (each: Case) => answers.push([each.name, isWanted(answers.length) ? await each.ask() : ''])
  for (const seed of seedsOf(file)) for await (const batch of casesOf(seed, ask)) for (const each of batch) await answer(each)
  return answers
}
