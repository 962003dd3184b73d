import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer, type TestServer } from '../../server.test-support.ts'
import { podSecurity } from './plugin.ts'

const LABEL = 'pod-security.kubernetes.io/'
const labels = (given: Record<string, string>) => Object.fromEntries(Object.entries(given).map(([key, value]) => [LABEL + key, value]))
const merge = { headers: { 'content-type': 'application/merge-patch+json' } }
const namespace = (server: TestServer, name: string, given: Record<string, string>) =>
  server.call('POST', '/api/v1/namespaces', { metadata: { name, labels: labels(given) } })
const container = { name: 'c', image: 'x' }
const pod = (name: string, spec: object = {}) => ({ metadata: { name }, spec: { containers: [container], ...spec } })
const RESTRICTED =
  'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'

test('a pod that violates the enforced level is refused, a workload is warned of', async (t) => {
  const server = await startServer(t, { admission: [podSecurity()] })
  await namespace(server, 'a', { enforce: 'restricted' })
  const refused = await server.call('POST', '/api/v1/namespaces/a/pods', pod('p'))
  assert.equal(refused.status, 403)
  assert.equal(refused.body.message, `pods "p" is forbidden: violates PodSecurity "restricted:latest": ${RESTRICTED}`)
  assert.deepEqual(refused.body.details, { name: 'p', kind: 'pods' })
  const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [container] } }
  const deployment = { metadata: { name: 'd' }, spec: { selector: { matchLabels: { a: 'b' } }, template } }
  const made = await server.call('POST', '/apis/apps/v1/namespaces/a/deployments', deployment)
  assert.equal(made.status, 201)
  assert.deepEqual(made.response.warnings, [`would violate PodSecurity "restricted:latest": ${RESTRICTED}`])
})

test('levels that only warn let pods in; what was let in may be relabelled but not get another image', async (t) => {
  const server = await startServer(t, { admission: [podSecurity()] })
  await namespace(server, 'a', { enforce: 'privileged', warn: 'baseline', 'warn-version': 'v1.24' })
  const made = await server.call('POST', '/api/v1/namespaces/a/pods', pod('p', { hostNetwork: true }))
  assert.equal(made.status, 201)
  assert.deepEqual(made.response.warnings, ['would violate PodSecurity "baseline:v1.24": host namespaces (hostNetwork=true)'])
  await server.call('PATCH', '/api/v1/namespaces/a', { metadata: { labels: labels({ enforce: 'baseline' }) } }, merge)
  const change = (body: object) => server.call('PATCH', '/api/v1/namespaces/a/pods/p', body, merge)
  assert.equal((await change({ metadata: { labels: { a: 'b' } } })).status, 200)
  const image = await change({ spec: { containers: [{ ...container, image: 'y' }] } })
  assert.equal(image.body.message, 'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)')
})

test('labels that cannot be read are refused, and count as restricted where they are already', async (t) => {
  const server = await startServer(t, { admission: [podSecurity()] })
  const bad = await namespace(server, 'a', { enforce: 'strict', 'warn-version': '1.2' })
  assert.equal(bad.status, 422)
  assert.equal(
    bad.body.message,
    'Namespace "a" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.2": must be "latest" or "v1.x"]',
  )
})

test('who makes a namespace stricter hears of the pods in it', async (t) => {
  const server = await startServer(t, { admission: [podSecurity()] })
  await namespace(server, 'a', {})
  for (const name of ['p2', 'p1', 'p3']) await server.call('POST', '/api/v1/namespaces/a/pods', pod(name, { hostPID: true }))
  const { response } = await server.call('PATCH', '/api/v1/namespaces/a', { metadata: { labels: labels({ enforce: 'baseline' }) } }, merge)
  assert.deepEqual(response.warnings, [
    'existing pods in namespace "a" violate the new PodSecurity enforce level "baseline:latest"',
    'p1 (and 2 other pods): host namespaces',
  ])
})

test('the configuration gives other defaults and exempts users, namespaces and runtime classes', async (t) => {
  const given = {
    apiVersion: 'pod-security.admission.config.k8s.io/v1',
    kind: 'PodSecurityConfiguration',
    defaults: { enforce: 'baseline' },
    exemptions: { usernames: ['root'], namespaces: ['free'], runtimeClasses: ['vm'] },
  }
  const server = await startServer(t, { admission: [podSecurity(given)] })
  await namespace(server, 'a', {})
  const exempt = await namespace(server, 'free', { enforce: 'restricted' })
  assert.deepEqual(exempt.response.warnings, [
    'namespace "free" is exempt from Pod Security, and the policy (enforce=restricted:latest) will be ignored',
  ])
  const create = (where: string, name: string, spec: object, user?: string) =>
    server.call(
      'POST',
      `/api/v1/namespaces/${where}/pods`,
      pod(name, { hostPID: true, ...spec }),
      user ? { user: { name: user, groups: ['system:masters'] } } : {},
    )
  assert.equal((await create('a', 'p', {})).status, 403)
  assert.equal((await create('free', 'p', {})).status, 201)
  assert.equal((await create('a', 'q', {}, 'root')).status, 201)
  assert.equal((await create('a', 'r', { runtimeClassName: 'vm' })).status, 201)
  for (const [change, why] of [
    [{ defaults: { enforce: 'strict' } }, 'defaults.enforce: Invalid value: "strict": must be one of privileged, baseline, restricted'],
    [{ exemptions: { namespaces: ['a', 'a'] } }, 'exemptions.namespaces[1]: Duplicate value: "a"'],
    [{ exemptions: { users: ['a'] } }, 'strict decoding error: unknown field "exemptions.users"'],
    [{ kind: 'Other' }, /no kind "Other" is registered/],
  ] as const) {
    assert.throws(() => podSecurity({ ...given, ...change }), { message: why })
  }
})
