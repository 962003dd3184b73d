import type { ClusterTrustBundle } from '../../../api/generated/certificates/v1beta1.ts'
import { defineResource } from '../../resource.ts'
import { nameColumn, text } from '../columns.ts'
import { checkImmutable, required, type FieldErrors } from '../rules.ts'
import type { Column } from '../../resource.ts'

/** ClusterTrustBundles: certificates that pods may trust. */
export const clusterTrustBundles = defineResource({
  group: 'certificates.k8s.io',
  version: 'v1beta1',
  kind: 'ClusterTrustBundle',
  hasGeneration: false,
  // A signer's bundles carry its name, with colons.
  nameFormat: (name) =>
    /^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$/.test(name)
      ? []
      : ['ClusterTrustBundle name must be a DNS subdomain, after the prefix of its signer'],
  columns: [nameColumn as Column<ClusterTrustBundle>, text('SignerName', ({ spec }: ClusterTrustBundle) => spec?.signerName || '<none>')],
  fieldSelectors: { 'spec.signerName': ({ spec }) => spec?.signerName ?? '' },
  validate({ spec }) {
    const errors: FieldErrors = []
    if (!spec?.trustBundle?.includes('-----BEGIN CERTIFICATE-----'))
      errors.push(required('spec.trustBundle', 'at least one trust anchor must be provided'))
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.signerName', next.spec?.signerName, old.spec?.signerName)
    return errors
  },
})
