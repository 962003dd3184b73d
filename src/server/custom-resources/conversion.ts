/**
 * Objects of one version as another version shows or stores them. With strategy None only apiVersion differs, and what the other
 * schema does not know goes. With strategy Webhook someone outside converts (KEP-598): `ConversionWebhook` is the road there.
 */
import type { ConversionReview, CustomResourceDefinition } from '../../api/generated/apiextensions/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { parseApiVersion } from '../../api/schema.ts'
import { ApiError } from '../../api/status.ts'

/** Sends a review to the webhook of a definition; rejects when it cannot be reached or answers nonsense. */
export interface ConversionWebhook {
  convert(definition: CustomResourceDefinition, review: ConversionReview): Promise<ConversionReview>
}

/** Gives the object its new apiVersion, however that is done; throws an ApiError when it cannot be. */
export type Convert = (object: KubeObject, apiVersion: string) => KubeObject

const relabel: Convert = (object, apiVersion) => ({ ...object, apiVersion })

export function converterOf({ spec }: CustomResourceDefinition): Convert {
  if (spec.conversion?.strategy !== 'Webhook') return relabel
  return (object) => {
    throw conversionFailed(object, 'no webhook client is configured')
  }
}

/** Upstream answers so when a webhook fails: 500, without a reason. */
export function conversionFailed(object: KubeObject, why: string): ApiError {
  const { group, version } = parseApiVersion(object.apiVersion ?? '')
  const message = `conversion webhook for ${group}/${version}, Kind=${object.kind} failed: ${why}`
  return new ApiError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 })
}
