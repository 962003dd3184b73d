import type { CSIDriver, TokenRequest } from '../../../api/generated/storage/v1.ts'
import { defineResource } from '../../resource.ts'
import { boolean, nameToAge, text } from '../columns.ts'
import { changeField, isSemanticallyEqual, withPointerDefaults } from '../immutable.ts'
import { checkImmutable, checkOneOf, duplicate, invalid, type FieldErrors } from '../rules.ts'

/** CSIDrivers: what a driver of storage wants of the cluster. */
const TOKENS_NOT_SECRET =
  'spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes'

function validateTokens(errors: FieldErrors, path: string, requests: readonly TokenRequest[] | undefined): void {
  const audiences = new Set<string>()
  requests?.forEach(({ audience = '', expirationSeconds: seconds }: Partial<TokenRequest>, i) => {
    const at = `${path}[${i}]`
    if (audiences.has(audience)) return void errors.push(duplicate(`${at}.audience`, audience))
    audiences.add(audience)
    if (seconds === undefined) return
    if (seconds < 600) errors.push(invalid(`${at}.expirationSeconds`, seconds, 'may not specify a duration less than 10 minutes'))
    if (seconds > 2 ** 32) errors.push(invalid(`${at}.expirationSeconds`, seconds, 'may not specify a duration larger than 2^32 seconds'))
  })
}

export const csiDrivers = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSIDriver',
  // It counts changes, but begins at none.
  hasGeneration: false,
  columns: nameToAge(
    boolean('AttachRequired', ({ spec }: CSIDriver) => spec?.attachRequired ?? true),
    boolean('PodInfoOnMount', ({ spec }: CSIDriver) => spec?.podInfoOnMount ?? false),
    boolean('StorageCapacity', ({ spec }: CSIDriver) => spec?.storageCapacity ?? false),
    text('TokenRequests', ({ spec }: CSIDriver) => spec?.tokenRequests?.map(({ audience }) => audience).join(',') ?? '<unset>'),
    { ...boolean('RequiresRepublish', ({ spec }: CSIDriver) => spec?.requiresRepublish ?? false) },
    text('Modes', ({ spec }: CSIDriver) => (spec?.volumeLifecycleModes ?? []).join(',') || '<none>'),
  ),
  setDefaults: (driver) =>
    changeField(driver, 'spec', (spec) => {
      const next = spec.volumeLifecycleModes?.length ? spec : { ...spec, volumeLifecycleModes: ['Persistent'] }
      return withPointerDefaults(next, {
        attachRequired: true,
        podInfoOnMount: false,
        storageCapacity: false,
        fsGroupPolicy: 'ReadWriteOnceWithFSType',
        requiresRepublish: false,
        seLinuxMount: false,
      })
    }),
  prepareForUpdate: (next, old) =>
    isSemanticallyEqual(next.spec, old.spec)
      ? next
      : { ...next, metadata: { ...next.metadata, generation: (old.metadata?.generation ?? 0) + 1 } },
  validate({ spec = {} }: Partial<CSIDriver>) {
    const errors: FieldErrors = []
    // The defaults fill the others.
    if (spec.fsGroupPolicy !== undefined)
      checkOneOf(errors, 'spec.fsGroupPolicy', spec.fsGroupPolicy, ['File', 'None', 'ReadWriteOnceWithFSType'])
    validateTokens(errors, 'spec.tokenRequests', spec.tokenRequests)
    for (const mode of spec.volumeLifecycleModes ?? []) checkOneOf(errors, 'spec.volumeLifecycleModes', mode, ['Persistent', 'Ephemeral'])
    const period = spec.nodeAllocatableUpdatePeriodSeconds
    if (period !== undefined && period < 10)
      errors.push(invalid('spec.nodeAllocatableUpdatePeriodSeconds', period, 'must be greater than or equal to 10 seconds'))
    const inSecrets = spec.serviceAccountTokenInSecrets
    if (inSecrets !== undefined && !spec.tokenRequests?.length) {
      const why = 'serviceAccountTokenInSecrets is set but no tokenRequests are specified'
      errors.push(invalid('spec.serviceAccountTokenInSecrets', inSecrets, why))
    }
    return errors
  },
  warnings: ({ spec }, old) =>
    spec?.tokenRequests?.length &&
    spec.serviceAccountTokenInSecrets === undefined &&
    !(old && isSemanticallyEqual(spec.tokenRequests, old.spec?.tokenRequests))
      ? [TOKENS_NOT_SECRET]
      : [],
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.attachedRequired', next.spec?.attachRequired, old.spec?.attachRequired)
    checkImmutable(errors, 'spec.volumeLifecycleModes', next.spec?.volumeLifecycleModes, old.spec?.volumeLifecycleModes)
    return errors
  },
})
