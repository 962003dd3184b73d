/**
 * ImagePolicyWebhook, off by default: a program outside says whether a pod's images may run (imagepolicy.k8s.io/v1alpha1 ImageReview).
 * What it said about the same images, annotations and namespace counts for a while; when it cannot be asked, `defaultAllow` decides.
 * Left out: the annotation `alpha.image-policy.k8s.io/failed-open` on the pod, for the audit event says so too.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import { ExpiringCache } from '../../base/expiring-cache.ts'
import { goDuration } from '../../base/go-duration.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { ConfigurationError } from '../configuration/decode.ts'
import type { AskReview } from '../review-client.ts'

/** Makes the client for the program that a kubeconfig file names; throws when the file cannot be used. */
export type ImageReviewer = (kubeconfigFile: string, firstDelayMs: number) => AskReview

interface ImageReviewStatus {
  readonly allowed?: boolean
  readonly reason?: string
  readonly auditAnnotations?: Readonly<Record<string, string>>
}

type Setting = 'allowTTL' | 'denyTTL' | 'retryBackoff'

interface Settings extends Readonly<Partial<Record<Setting, number>>> {
  readonly kubeConfigFile?: string
  readonly defaultAllow?: boolean
}

/** In the file's unit; 0 takes the default, -1 is none at all. The range is told as Go tells durations. */
const DURATIONS: Readonly<
  Record<
    Setting,
    { readonly name: string; readonly unitMs: number; readonly maxMs: number; readonly defaultMs: number; readonly range: string }
  >
> = {
  retryBackoff: { name: 'backoff', unitMs: 1, maxMs: 300_000, defaultMs: 500, range: '1ns and 5m0s' },
  allowTTL: { name: 'allow cache', unitMs: 1000, maxMs: 1_800_000, defaultMs: 300_000, range: '1s and 30m0s' },
  denyTTL: { name: 'deny cache', unitMs: 1000, maxMs: 1_800_000, defaultMs: 30_000, range: '1s and 30m0s' },
}

function durationOf(settings: Settings, setting: Setting): number {
  const { unitMs, maxMs, defaultMs, range } = DURATIONS[setting]
  const given = settings[setting] ?? 0
  if (given === -1) return 0
  if (given === 0) return defaultMs
  if (given < 0 || given * unitMs > maxMs)
    throw new ConfigurationError(`valid value is between ${range}, got ${goDuration(given * unitMs)}`)
  return given * unitMs
}

const MAX_REMEMBERED = 1024
const AUDIT_PREFIX = 'imagepolicywebhook.image-policy.k8s.io/'

export function imagePolicyWebhook(given: unknown, reviewer: ImageReviewer | undefined): AdmissionPlugin {
  if (given === undefined || !reviewer) throw new ConfigurationError('no config specified')
  const settings = (given as { readonly imagePolicy?: Settings }).imagePolicy ?? {}
  const retryMs = durationOf(settings, 'retryBackoff')
  const ttlMs = { allow: durationOf(settings, 'allowTTL'), deny: durationOf(settings, 'denyTTL') }
  const ask = made(() => reviewer(settings.kubeConfigFile ?? '', retryMs))
  let known: ExpiringCache<ImageReviewStatus> | undefined

  async function validate(attributes: AdmissionAttributes): Promise<void> {
    const { context } = attributes
    const spec = specOf(attributes)
    known ??= new ExpiringCache(context.runtime.clock, MAX_REMEMBERED, ({ allowed }) => (allowed ? ttlMs.allow : ttlMs.deny))
    let status: ImageReviewStatus
    try {
      status = await known.ask(JSON.stringify(spec), () =>
        ask({ apiVersion: 'imagepolicy.k8s.io/v1alpha1', kind: 'ImageReview', metadata: {}, spec }),
      )
    } catch (error) {
      if (!settings.defaultAllow) throw admissionDenied(attributes, error instanceof Error ? error.message : String(error))
      context.annotate?.(`${AUDIT_PREFIX}failed-open`, 'true')
      return
    }
    for (const [key, value] of Object.entries(status.auditAnnotations ?? {})) context.annotate?.(`${AUDIT_PREFIX}${key}`, value)
    if (status.allowed) return
    const why = status.reason ? `image policy webhook backend denied one or more images: ${status.reason}` : ''
    throw admissionDenied(attributes, why || 'one or more images rejected by webhook backend')
  }

  return {
    name: 'ImagePolicyWebhook',
    handles: ({ operation, resource, subresource }) =>
      (operation === 'CREATE' || operation === 'UPDATE') &&
      resource.resource === 'pods' &&
      resource.group === '' &&
      (subresource === undefined || subresource === 'ephemeralcontainers'),
    validate,
  }
}

/** A kubeconfig that cannot be used is a fault of the configuration. */
function made<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw new ConfigurationError(error instanceof Error ? error.message : String(error))
  }
}

/** The containers that the write is about, and the pod's annotations that are meant for such programs. */
function specOf({ object, subresource, namespace }: AdmissionAttributes): object {
  const { spec, metadata } = object as Pod
  const containers = subresource ? (spec?.ephemeralContainers ?? []) : [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]
  const annotations = Object.entries(metadata?.annotations ?? {}).filter(([key]) => key.includes('.image-policy.k8s.io/'))
  return {
    containers: containers.map(({ image }) => ({ image })),
    ...(annotations.length > 0 ? { annotations: Object.fromEntries(annotations) } : {}),
    ...(namespace === undefined ? {} : { namespace }),
  }
}
