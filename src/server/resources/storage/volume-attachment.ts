import type { VolumeAttachment, VolumeError } from '../../../api/generated/storage/v1.ts'
import { dns1123SubdomainFaults, inclusiveRangeFault } from '../../../api/names.ts'
import type { FieldError } from '../../../api/status.ts'
import { defineResource } from '../../resource.ts'
import { boolean, nameToAge, text } from '../columns.ts'
import { validateVolumeSpec } from '../core/persistent-volume.ts'
import { sourceDefaults } from '../core/volume-defaults.ts'
import { validateDriverName } from '../core/volume-sources.ts'
import { changeField, withField } from '../immutable.ts'
import { checkFormat, checkImmutable, forbidden, invalid, required, tooLong, type FieldErrors } from '../rules.ts'

/** VolumeAttachments: that a volume is, or shall be, attached to a node. */
const ONE_SOURCE = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'
const MAX_MESSAGE_BYTES = 1024
const MAX_METADATA_BYTES = 256 * 1024

function validateError(errors: FieldErrors, path: string, error: VolumeError | undefined): void {
  // The bound that is told is another one than the one that holds: upstream's slip.
  if ((error?.message?.length ?? 0) > MAX_MESSAGE_BYTES) errors.push(tooLong(`${path}.message`, MAX_METADATA_BYTES))
  if ((error?.errorCode ?? 0) < 0) errors.push(invalid(`${path}.errorCode`, error?.errorCode, inclusiveRangeFault(0, 2 ** 31 - 1)))
}

function validate({ spec, status }: VolumeAttachment): readonly FieldError[] {
  const errors: FieldErrors = []
  validateDriverName(errors, 'spec.attacher', spec?.attacher)
  const { inlineVolumeSpec: inline, persistentVolumeName: name } = spec?.source ?? {}
  if (!inline && name === undefined) errors.push(required('spec.source', ONE_SOURCE))
  else if (inline && name !== undefined) errors.push(forbidden('spec.source', ONE_SOURCE))
  else if (name === '') errors.push(required('spec.source.persistentVolumeName', 'must specify non empty persistentVolumeName'))
  else if (inline) validateVolumeSpec(errors, 'spec.source.inlineVolumeSpec', inline, '', true)
  checkFormat(errors, 'spec.nodeName', spec?.nodeName ?? '', dns1123SubdomainFaults)
  const bytes = Object.entries(status?.attachmentMetadata ?? {}).reduce((size, [key, value]) => size + key.length + value.length, 0)
  if (bytes > MAX_METADATA_BYTES) errors.push(tooLong('status.attachmentMetadata', MAX_METADATA_BYTES))
  validateError(errors, 'status.attachError', status?.attachError)
  validateError(errors, 'status.detachError', status?.detachError)
  if (name !== undefined) checkFormat(errors, 'spec.source.persistentVolumeName', name, dns1123SubdomainFaults)
  return errors
}

export const volumeAttachments = defineResource({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'VolumeAttachment',
  hasGeneration: false,
  columns: nameToAge(
    { ...text('Attacher', ({ spec }: VolumeAttachment) => spec?.attacher ?? ''), format: 'name' },
    text('PV', ({ spec }: VolumeAttachment) => spec?.source?.persistentVolumeName ?? ''),
    text('Node', ({ spec }: VolumeAttachment) => spec?.nodeName ?? ''),
    boolean('Attached', ({ status }: VolumeAttachment) => status?.attached ?? false),
  ),
  setDefaults: (attachment) =>
    changeField(attachment, 'spec', (spec) =>
      changeField(spec, 'source', (source) => changeField(source, 'inlineVolumeSpec', sourceDefaults)),
    ),
  prepareForCreate: (attachment) => withField(attachment, 'status', { attached: false }),
  validate,
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec', next.spec, old.spec, 'storage/v1.VolumeAttachmentSpec')
    return errors
  },
  validateStatusUpdate: validate,
})
