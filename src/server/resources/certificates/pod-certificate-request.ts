import type { PodCertificateRequest } from '../../../api/generated/certificates/v1beta1.ts'
import { defineResource } from '../../resource.ts'
import { formatLabels, nameColumn, text, wide } from '../columns.ts'
import { checkImmutable, required, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'

const state = ({ status }: PodCertificateRequest): string =>
  status?.conditions?.findLast(({ type }) => type === 'Issued' || type === 'Denied' || type === 'Failed')?.type ?? 'Pending'

/** PodCertificateRequests: certificates that nodes ask for on behalf of pods. */
export const podCertificateRequests = defineResource({
  group: 'certificates.k8s.io',
  version: 'v1beta1',
  kind: 'PodCertificateRequest',
  hasGeneration: false,
  columns: [
    nameColumn as Column<PodCertificateRequest>,
    text('PodName', ({ spec }: PodCertificateRequest) => spec?.podName ?? ''),
    text('ServiceAccountName', ({ spec }: PodCertificateRequest) => spec?.serviceAccountName ?? ''),
    text('NodeName', ({ spec }: PodCertificateRequest) => spec?.nodeName ?? ''),
    text('SignerName', ({ spec }: PodCertificateRequest) => spec?.signerName ?? ''),
    text('State', state),
    wide(text('UnverifiedUserAnnotations', ({ spec }: PodCertificateRequest) => formatLabels(spec?.unverifiedUserAnnotations))),
  ],
  fieldSelectors: {
    'spec.signerName': ({ spec }) => spec?.signerName ?? '',
    'spec.podName': ({ spec }) => spec?.podName ?? '',
    'spec.nodeName': ({ spec }) => spec?.nodeName ?? '',
  },
  validate({ spec }) {
    const errors: FieldErrors = []
    for (const field of ['signerName', 'podName', 'podUID', 'serviceAccountName', 'serviceAccountUID', 'nodeName', 'nodeUID'] as const) {
      if (!spec?.[field]) errors.push(required(`spec.${field}`))
    }
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec', next.spec, old.spec)
    return errors
  },
})
