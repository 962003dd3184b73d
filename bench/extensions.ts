/** What stands in the way of a create: nothing, a kind of one's own, a webhook, or a policy; each is waited for until it works. */
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../src/base/system.ts'
import { temporaryPki } from '../src/cluster/pki.ts'
import { expect, NAMESPACE, until } from './asking.ts'
import type { Connection } from './connection.ts'

export interface Subject {
  readonly path: string
  body(name: string): object
  close?(): void
}

const MAPS = `/api/v1/namespaces/${NAMESPACE}/configmaps`
/** Length of the value that makes an object of about 1 kB. */
export const PAYLOAD = 'x'.repeat(750)
const ADMISSION = '/apis/admissionregistration.k8s.io/v1'

const mapOf = (name: string): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: NAMESPACE, labels: { app: 'bench' } },
  data: { value: PAYLOAD },
})

/** Creates until that comes out as wanted. */
async function tryUntil(
  connection: Connection,
  path: string,
  body: (attempt: number) => object,
  isWanted: (status: number) => boolean,
): Promise<void> {
  let [attempt, status] = [0, 0]
  const isDone = async (): Promise<boolean> => {
    status = (await connection.request('POST', path, JSON.stringify(body(attempt++)))).status
    return isWanted(status)
  }
  await until(isDone, () => `${path} still answers ${status}`, { timeoutSeconds: 30, everyMs: 50 })
}

const WIDGETS = `/apis/bench.test/v1/namespaces/${NAMESPACE}/widgets`

async function custom(connection: Connection): Promise<Subject> {
  const text = { type: 'string' }
  const spec = { type: 'object', properties: { value: { ...text, maxLength: 1000 }, replicas: { type: 'integer', default: 1 } } }
  const schema = { type: 'object', properties: { spec: { ...spec, required: ['value'] } } }
  await expect(connection, [201], 'POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.bench.test' },
    spec: {
      group: 'bench.test',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  })
  const body = (name: string): object => ({
    apiVersion: 'bench.test/v1',
    kind: 'Widget',
    metadata: { name, namespace: NAMESPACE, labels: { app: 'bench' } },
    spec: { value: PAYLOAD },
  })
  await tryUntil(
    connection,
    WIDGETS,
    (attempt) => body(`first-${attempt}`),
    (status) => status === 201,
  )
  return { path: WIDGETS, body }
}

/** A webhook in this process that allows everything. */
async function startWebhook(): Promise<{
  readonly server: Server
  readonly url: string
  readonly caBundle: string
  readonly calls: () => number
}> {
  const pki = await temporaryPki(systemClock, ['127.0.0.1', 'localhost'])
  let calls = 0
  const server = createServer({ key: pki.server.key, cert: pki.server.cert }, (request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    request.on('end', () => {
      calls++
      const { apiVersion, request: asked } = JSON.parse(text) as { readonly apiVersion: string; readonly request: { readonly uid: string } }
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ apiVersion, kind: 'AdmissionReview', response: { uid: asked.uid, allowed: true } }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { server, url: `https://127.0.0.1:${port}/validate`, caBundle: btoa(pki.authority.cert), calls: () => calls }
}

const RULE = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }

async function webhook(connection: Connection): Promise<Subject> {
  const { server, url, caBundle, calls } = await startWebhook()
  const named = {
    name: 'validate.bench.test',
    clientConfig: { url, caBundle },
    rules: [RULE],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  }
  await expect(connection, [201], 'POST', `${ADMISSION}/validatingwebhookconfigurations`, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'bench' },
    webhooks: [named],
  })
  await tryUntil(
    connection,
    MAPS,
    (attempt) => mapOf(`first-${attempt}`),
    (status) => status === 201 && calls() > 0,
  )
  const close = (): void => {
    server.closeAllConnections()
    server.close()
  }
  return { path: MAPS, body: mapOf, close }
}

async function policy(connection: Connection): Promise<Subject> {
  const apiVersion = 'admissionregistration.k8s.io/v1'
  const validations = [
    { expression: "object.data.all(key, key.matches('^[a-z]+$'))" },
    { expression: "object.metadata.labels.exists(key, key == 'app' && object.metadata.labels[key] != '')" },
    { expression: "variables.size < 1000 && !object.metadata.name.startsWith('forbidden')" },
  ]
  await expect(connection, [201], 'POST', `${ADMISSION}/validatingadmissionpolicies`, {
    apiVersion,
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: 'bench' },
    spec: {
      matchConstraints: { resourceRules: [RULE] },
      variables: [{ name: 'size', expression: 'object.data.value.size()' }],
      validations,
    },
  })
  await expect(connection, [201], 'POST', `${ADMISSION}/validatingadmissionpolicybindings`, {
    apiVersion,
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: 'bench' },
    spec: { policyName: 'bench', validationActions: ['Deny'] },
  })
  await tryUntil(
    connection,
    MAPS,
    (attempt) => mapOf(`forbidden-${attempt}`),
    (status) => status === 422,
  )
  return { path: MAPS, body: mapOf }
}

export const subjects = { plain: async (): Promise<Subject> => ({ path: MAPS, body: mapOf }), custom, webhook, policy } as const
