/**
 * One question to a conversion webhook and what is made of its answer (upstream: apiextensions-apiserver/pkg/apiserver/conversion/
 * webhook_converter.go). A webhook may change everything but who an object is: of its metadata, labels and annotations alone.
 */
import type { ConversionResponse, ConversionReview } from '../../api/generated/apiextensions/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { apiVersionOf, parseApiVersion } from '../../api/schema.ts'
import type { FieldError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { uuid } from '../../base/random.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Reader } from '../resource.ts'
import { validateAnnotations, validateLabels } from '../resources/object-meta.ts'
import { webhookTarget, type WebhookCall } from '../webhook-call.ts'
import { isCertificateBundle } from './conversion-validation.ts'
import type { ConversionWebhook } from './conversion.ts'
import { goType } from './coerce.ts'

/** Upstream waits as long as the request that wants the conversion. */
const TIMEOUT_MS = 30_000
const REVIEWS: readonly string[] = ['v1', 'v1beta1']

export function createConversionWebhook({ random }: Runtime, call: WebhookCall, read: Reader): ConversionWebhook {
  return {
    async convert(definition, objects, apiVersion) {
      const { clientConfig, conversionReviewVersions: accepted = [] } = definition.spec.conversion?.webhook ?? {}
      const version = accepted.find((name) => REVIEWS.includes(name))
      if (!version || !clientConfig) throw new Error('failed: no supported conversion review versions')
      const uid = uuid(random)
      const review: ConversionReview = {
        kind: 'ConversionReview',
        apiVersion: apiVersionOf({ group: 'apiextensions.k8s.io', version }),
        request: { uid, desiredAPIVersion: apiVersion, objects },
      }
      const { caBundle, ...config } = clientConfig
      const trust = caBundle && isCertificateBundle(caBundle) ? { caBundle } : {}
      let converted: readonly unknown[]
      try {
        const target = webhookTarget({ ...config, ...trust }, undefined, read, random)
        converted = convertedBy(await call(target, review, TIMEOUT_MS), version, uid)
      } catch (error) {
        throw new Error(`failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      }
      if (converted.length !== objects.length) throw new Error(`returned ${converted.length} objects, expected ${objects.length}`)
      return objects.map((object, index) => checked(object, converted[index], apiVersion, index, objects.length === 1))
    },
  }
}

function convertedBy(answer: unknown, version: string, uid: string): readonly unknown[] {
  const { apiVersion = '', kind = '', response } = (isObject(answer) ? answer : {}) as ConversionReview
  if (version === 'v1' && (apiVersion !== 'apiextensions.k8s.io/v1' || kind !== 'ConversionReview')) {
    const got = parseApiVersion(apiVersion)
    throw new Error(
      `expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got ${got.group}/${got.version}, Kind=${kind}`,
    )
  }
  if (!isObject(response)) throw new Error('no response provided')
  const { uid: answered = '', result, convertedObjects }: ConversionResponse = response
  // Those who speak v1beta1 were never held to the uid.
  if (version === 'v1' && answered !== uid) throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(answered)}`)
  if (result?.status !== 'Success')
    throw new Error(result?.message || `response.result.status was '${result?.status ?? ''}', not 'Success'`)
  return Array.isArray(convertedObjects) ? convertedObjects : []
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The object that came back, with the metadata of the one that was sent; throws when it is another one. */
function checked(sent: KubeObject, given: unknown, apiVersion: string, index: number, isAlone: boolean): KubeObject {
  const where = isAlone ? 'returned invalid object' : `returned invalid converted object at index ${index}`
  const versionAt = isAlone ? 'returned invalid object at index 0' : where
  if (!isObject(given)) throw new Error(`${where}: json: cannot unmarshal ${goType(given)} into Go value of type map[string]interface {}`)
  const converted = given as KubeObject
  const told = converted.apiVersion ?? ''
  if (told !== apiVersion) throw new Error(`${versionAt}: invalid groupVersion (expected ${apiVersion}, received ${told})`)
  if (converted.kind !== sent.kind)
    throw new Error(`${versionAt}: invalid kind (expected ${sent.kind ?? ''}, received ${converted.kind ?? ''})`)
  const metadata = isObject(converted.metadata) ? converted.metadata : {}
  for (const [field, name] of IDENTITY) {
    const [expected, got] = [sent.metadata?.[field] ?? '', metadata[field] ?? '']
    if (expected !== got)
      throw new Error(`${where}: must have the same ${name}: ${expected} != ${typeof got === 'string' ? got : goTypeOf(got)}`)
  }
  const metaAt = isAlone ? 'returned invalid metadata' : `returned invalid metadata in object at index ${index}`
  try {
    return { ...converted, metadata: restoredMetadata(sent, converted) }
  } catch (error) {
    throw new Error(`${metaAt}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

const IDENTITY = [
  ['name', 'name'],
  ['namespace', 'namespace'],
  ['uid', 'UID'],
] as const

function restoredMetadata(sent: KubeObject, converted: KubeObject): NonNullable<KubeObject['metadata']> {
  if (!('metadata' in converted)) throw new Error('missing metadata in converted object')
  const given: unknown = converted.metadata
  if (!isObject(given)) throw new Error(`invalid metadata of type ${goTypeOf(given)} in converted object`)
  const { labels: _labels, annotations: _annotations, ...own } = sent.metadata ?? {}
  const labels = restored(given.labels, sent.metadata?.labels, 'labels', validateLabels, 'metadata.labels')
  const annotations = restored(given.annotations, sent.metadata?.annotations, 'annotations', validateAnnotations, 'metadata.annotation')
  return { ...own, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) }
}

function restored(
  given: unknown,
  sent: Readonly<Record<string, string>> | undefined,
  field: string,
  validate: typeof validateLabels,
  path: string,
): Readonly<Record<string, string>> | undefined {
  if (given === undefined || given === null) return undefined
  if (!isObject(given)) throw new Error(`invalid metadata.${field} of type ${goTypeOf(given)} in converted object`)
  for (const [key, value] of Object.entries(given)) {
    if (typeof value !== 'string')
      throw new Error(`metadata.${field}[${key}] must be a string, but is ${goTypeOf(value)} in converted object`)
  }
  const texts = given as Readonly<Record<string, string>>
  if (deepEqual(texts, sent)) return sent
  const errors: FieldError[] = []
  validate(errors, path, texts)
  const told = errors.map((error) => `${error.field}: ${error.detail}`)
  if (told.length > 0) throw new Error(told.length === 1 ? told[0] : `[${told.join(', ')}]`)
  return texts
}

/** As Go's %T prints what JSON decodes to. */
function goTypeOf(value: unknown): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return '[]interface {}'
  if (typeof value === 'object') return 'map[string]interface {}'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64'
  return typeof value === 'boolean' ? 'bool' : 'string'
}
