import type { VolumeAttachment } from '../../../api/generated/storage/v1.ts'
import { defineResource } from '../../resource.ts'
import { boolean, nameToAge, text } from '../columns.ts'
import { isSemanticallyEqual, withField } from '../immutable.ts'
import { invalid, required, type FieldErrors } from '../rules.ts'

/** VolumeAttachments: that a volume is, or shall be, attached to a node. */
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
  prepareForCreate: (attachment) => withField(attachment, 'status', { attached: false }),
  validate({ spec }) {
    const errors: FieldErrors = []
    if (!spec?.attacher) errors.push(required('spec.attacher'))
    if (!spec?.source?.inlineVolumeSpec && !spec?.source?.persistentVolumeName)
      errors.push(required('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'))
    if (spec?.source?.inlineVolumeSpec && spec.source.persistentVolumeName) {
      errors.push(invalid('spec.source', spec.source, 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'))
    }
    if (!spec?.nodeName) errors.push(required('spec.nodeName'))
    return errors
  },
  validateUpdate: (next, old) => (isSemanticallyEqual(next.spec, old.spec) ? [] : [invalid('spec', next.spec, 'field is immutable')]),
})
