/** How a definition's objects change from version to version, as far as the definition itself can be wrong about it. */
import type { CustomResourceDefinition, CustomResourceDefinitionSpec } from '../../api/generated/apiextensions/v1.ts'
import { validateClientConfig, validateReviewVersions } from '../resources/admissionregistration/webhook-validation.ts'
import { checkRequiredOneOf, forbidden, invalid, required, type FieldErrors } from '../resources/rules.ts'
import { isConditionTrue } from './conditions.ts'

const REVIEW_VERSIONS: readonly string[] = ['v1', 'v1beta1']

/** Paths are those of upstream's internal form, which its errors show. */
export function validateConversion(
  spec: CustomResourceDefinitionSpec,
  old: CustomResourceDefinition | undefined,
  errors: FieldErrors,
): void {
  const { conversion } = spec
  if (!conversion) return
  const path = 'spec.conversion'
  const { strategy, webhook } = conversion
  if (strategy !== 'None' && spec.preserveUnknownFields)
    errors.push(invalid(`${path}.strategy`, strategy, 'must be None if spec.preserveUnknownFields is true'))
  checkRequiredOneOf(errors, `${path}.strategy`, strategy, ['None', 'Webhook'])
  const versions = webhook?.conversionReviewVersions ?? []
  if (strategy !== 'Webhook') {
    const detail = 'should not be set when strategy is not set to Webhook'
    if (webhook?.clientConfig) errors.push(forbidden(`${path}.webhookClientConfig`, detail))
    if (versions.length > 0) errors.push(forbidden(`${path}.conversionReviewVersions`, detail))
    return
  }
  const { clientConfig } = webhook ?? {}
  if (!clientConfig) errors.push(required(`${path}.webhookClientConfig`, 'required when strategy is set to Webhook'))
  else {
    validateClientConfig(errors, `${path}.webhookClientConfig`, clientConfig)
    const before = old?.spec.conversion?.webhook?.clientConfig?.caBundle
    const mustBeValid = old !== undefined && isConditionTrue(old, 'Established') && (!before || isCertificateBundle(before))
    if (mustBeValid && clientConfig.caBundle && !isCertificateBundle(clientConfig.caBundle))
      errors.push(invalid(`${path}.webhookClientConfig.caBundle`, clientConfig.caBundle, UNREADABLE_BUNDLE))
  }
  const known = old?.spec.conversion?.webhook?.conversionReviewVersions ?? []
  const needsKnown = known.length === 0 || known.some((version) => REVIEW_VERSIONS.includes(version))
  validateReviewVersions(errors, `${path}.conversionReviewVersions`, versions, { needsKnown })
}

const UNREADABLE_BUNDLE = 'unable to load root certificates: unable to parse bytes as PEM block'

/** Whether base64 holds at least one PEM certificate. */
export function isCertificateBundle(base64: string): boolean {
  try {
    return /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/.test(atob(base64))
  } catch (error) {
    if (error instanceof DOMException) return false
    throw error
  }
}
