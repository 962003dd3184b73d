/** Who may what, and what those hear who may not; and protobuf, which client-go's own components speak. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { encodeProtobuf } from '../../src/api/protobuf-encode.ts'
import { compare, type Scenario, type Seen, type Step } from './compare.ts'
import { configMap, deployment, pod } from './objects.ts'

const as = (user: string, more: Readonly<Record<string, string>> = {}) => ({ headers: { 'Impersonate-User': user, ...more } })
const post = (body: object, path: string, more: Partial<Step> = {}): Step => ({ method: 'POST', path, body, ...more })

const RBAC = '/apis/rbac.authorization.k8s.io/v1'

const access: readonly Scenario[] = [
  {
    name: 'those who may not',
    steps: [
      { path: '{ns}/configmaps', ...as('bob') },
      { path: '{ns}/configmaps/a', ...as('bob') },
      { path: '/api/v1/nodes', ...as('bob') },
      { path: '/api/v1/nodes/n', ...as('bob') },
      { path: '{apps}/deployments/a/scale', ...as('bob') },
      { path: '{ns}/configmaps?watch=1', ...as('bob') },
      { path: '/metrics', ...as('bob') },
      { path: '/debug/pprof/', ...as('bob') },
      { path: '/apis/apps', ...as('bob') },
      { path: '/healthz/etcd', ...as('bob') },
      post(configMap('a'), '{ns}/configmaps', as('bob')),
      { method: 'DELETE', path: '{ns}/configmaps', ...as('bob') },
      { method: 'PATCH', path: '{ns}/configmaps/a', body: {}, type: 'application/merge-patch+json', ...as('bob') },
      { path: '{ns}/configmaps', ...as('system:serviceaccount:{name}:default') },
      { path: '{ns}/configmaps', ...as('bob', { 'Impersonate-Group': 'system:masters' }) },
      { path: '{ns}/configmaps', headers: { 'Impersonate-Group': 'x' } },
      { path: '{ns}/configmaps', ...as('bob', { 'Impersonate-Extra-scopes': 'x', 'Impersonate-Uid': 'u' }) },
      { path: '{ns}/configmaps', headers: { Authorization: 'Bearer nonsense' } },
      { path: '{ns}/bogus', ...as('bob') },
      { path: '/bogus', ...as('bob') },
    ],
  },
  {
    name: 'roles',
    steps: [
      post(
        { metadata: { name: 'r' }, rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list'] }] },
        `${RBAC}/namespaces/{name}/roles`,
      ),
      post(
        {
          metadata: { name: 'b' },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'bob' }],
        },
        `${RBAC}/namespaces/{name}/rolebindings`,
      ),
      // Upstream's authorizer learns of it a moment later.
      { path: '{ns}/configmaps?watch=1&timeoutSeconds=1', except: ['body'] },
      { path: '{ns}/configmaps', ...as('bob') },
      post(configMap('a'), '{ns}/configmaps', as('bob')),
      post(
        { metadata: { name: 'more' }, rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] },
        `${RBAC}/namespaces/{name}/roles`,
        as('bob'),
      ),
      post({ metadata: { name: 'bad' }, rules: [{ verbs: [] }] }, `${RBAC}/namespaces/{name}/roles`),
      post({ metadata: { name: 'bad' }, rules: [{ nonResourceURLs: ['/x'], verbs: ['get'] }] }, `${RBAC}/namespaces/{name}/roles`),
      {
        method: 'PATCH',
        path: `${RBAC}/namespaces/{name}/rolebindings/b`,
        body: { roleRef: { name: 'other' } },
        type: 'application/merge-patch+json',
      },
    ],
  },
  {
    name: 'who may give more than they have',
    steps: [
      post(
        {
          metadata: { name: 'g' },
          rules: [{ apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles', 'rolebindings'], verbs: ['*'] }],
        },
        `${RBAC}/namespaces/{name}/roles`,
      ),
      post(
        {
          metadata: { name: 'g' },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'g' },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'carl' }],
        },
        `${RBAC}/namespaces/{name}/rolebindings`,
      ),
      { path: '{ns}/configmaps?watch=1&timeoutSeconds=1', except: ['body'] },
      post(
        { metadata: { name: 'more' }, rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] },
        `${RBAC}/namespaces/{name}/roles`,
        as('carl'),
      ),
      post(
        {
          metadata: { name: 'more' },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
          subjects: [],
        },
        `${RBAC}/namespaces/{name}/rolebindings`,
        as('carl'),
      ),
    ],
  },
]

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const sent = (object: object, path: string): Step => ({
  method: 'POST',
  path,
  body: encodeProtobuf(object),
  type: PROTOBUF,
  accept: PROTOBUF,
})

const protobuf: readonly Scenario[] = [
  {
    name: 'both ways',
    steps: [
      sent(configMap('a', { data: { a: '1' } }), '{ns}/configmaps'),
      sent(configMap('a', { data: { a: '1' } }), '{ns}/configmaps'),
      sent(deployment('d', { replicas: 2 }), '{apps}/deployments'),
      sent(pod('p'), '{ns}/pods'),
      sent(
        { apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec: { ports: [{ port: 80, targetPort: 'x' }] } },
        '{ns}/services',
      ),
      sent(configMap('Bad_'), '{ns}/configmaps'),
      ...['{ns}/configmaps', '{apps}/deployments', '{ns}/pods', '{ns}/services/s', '{ns}/configmaps/none'].map((path) => ({
        path,
        accept: PROTOBUF,
      })),
      ...['{ns}/configmaps', '{apps}/deployments', '{ns}/pods'].map((path) => ({ path })),
      { method: 'PATCH', path: '{ns}/configmaps/a', body: { data: { b: '1' } }, type: 'application/merge-patch+json', accept: PROTOBUF },
      { method: 'DELETE', path: '{ns}/configmaps/a', accept: PROTOBUF },
      { path: '{apps}/deployments/d/scale', accept: PROTOBUF },
    ],
  },
]

const TOKENS = '{ns}/serviceaccounts/robot/token'
const review = (token: string, audiences?: readonly string[]): Step =>
  post({ spec: { token, ...(audiences ? { audiences } : {}) } }, '/apis/authentication.k8s.io/v1/tokenreviews', {
    // Each server has its own key, and uids; upstream tells who owns which field of what is stored nowhere.
    except: ['body.metadata', 'body.spec.token', 'body.status.user.uid', 'body.status.user.extra'],
  })
const tokenOf = (seen: Seen | undefined): string => (seen?.body as { status?: { token?: string } } | undefined)?.status?.token ?? ''
const ask = (spec: object, more: Partial<Step> = {}): Step => post({ spec }, TOKENS, { except: ['body.metadata', 'body.status'], ...more })
/** The same token with other claims, or a signature of nobody. */
const forged = (token: string, change: (claims: Record<string, unknown>) => object): string => {
  const [header = '', claims = '', signature = ''] = token.split('.')
  const next = change(JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>)
  return [header, Buffer.from(JSON.stringify(next)).toString('base64url'), signature].join('.')
}

/** As the server itself would sign them, by a key that it does not know. */
function signedByStranger(token: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const content = `${Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'stranger' })).toString('base64url')}.${token.split('.')[1]}`
  return `${content}.${sign('sha256', Buffer.from(content), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const tokens: readonly Scenario[] = [
  {
    name: 'of service accounts',
    steps: [
      post({ metadata: { name: 'robot' } }, '{ns}/serviceaccounts'),
      ask({}),
      ask({ audiences: ['elsewhere'] }),
      ask({ expirationSeconds: 60 }),
      ask({ expirationSeconds: 4_294_967_296 + 1 }),
      ask({ boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'none' } }),
      ask({ boundObjectRef: { kind: 'ConfigMap', apiVersion: 'v1', name: 'none' } }),
      ask({ boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: 'none' } }),
      (seen) => review(tokenOf(seen[1])),
      (seen) => review(tokenOf(seen[1]), ['elsewhere']),
      (seen) => review(tokenOf(seen[2])),
      (seen) => review(tokenOf(seen[2]), ['elsewhere', 'nowhere']),
      (seen) => review(forged(tokenOf(seen[1]), (claims) => ({ ...claims, exp: 1 }))),
      (seen) => review(forged(tokenOf(seen[1]), (claims) => ({ ...claims, iss: 'https://other' }))),
      (seen) => review(`${tokenOf(seen[1]).slice(0, -6)}AAAAAA`),
      (seen) => review(tokenOf(seen[1]).split('.').slice(0, 2).join('.')),
      (seen) => review(signedByStranger(tokenOf(seen[1]))),
      review('a.b.c'),
      review('abcdef.0123456789abcdef'),
      ...[1, 2].map((at) => (seen: readonly Seen[]) => ({
        path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
        headers: { Authorization: `Bearer ${tokenOf(seen[at])}` },
      })),
      (seen) => ({ path: '{ns}/configmaps', headers: { Authorization: `Bearer ${forged(tokenOf(seen[1]), (claims) => claims)}x` } }),
    ],
  },
]

compare('access', access)
compare('tokens', tokens)
compare('protobuf', protobuf)
