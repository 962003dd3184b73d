/** Namespaces: every one carries its name as a label, and goes only when its finalizer says that it is empty. */
import { dns1123LabelFaults } from '../../../api/names.ts'
import type { Namespace } from '../../../api/generated/core/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { changeField, withDefaults, withEntry, withField } from '../immutable.ts'
import { invalid, type FieldErrors } from '../rules.ts'
import { validateFinalizerName } from './finalizer-name.ts'

const NAME_LABEL = 'kubernetes.io/metadata.name'
const FINALIZER = 'kubernetes'

function setDefaults(namespace: Namespace): Namespace {
  const name = namespace.metadata?.name
  const labelled = name
    ? changeField(namespace, 'metadata', (metadata) => withField(metadata, 'labels', withEntry(metadata.labels, NAME_LABEL, name)))
    : namespace
  return withField(labelled, 'status', withDefaults(labelled.status ?? {}, { phase: 'Active' }))
}

export const namespaces = defineResource({
  group: '',
  version: 'v1',
  kind: 'Namespace',
  hasGeneration: false,
  nameFormat: dns1123LabelFaults,
  columns: nameToAge(text('Status', (namespace: Namespace) => namespace.status?.phase ?? '')),
  fieldSelectors: { 'status.phase': (namespace) => namespace.status?.phase ?? '' },
  setDefaults,
  prepareForCreate(namespace) {
    const finalizers = namespace.spec?.finalizers ?? []
    return {
      ...namespace,
      spec: { ...namespace.spec, finalizers: finalizers.includes(FINALIZER) ? finalizers : [...finalizers, FINALIZER] },
      status: { phase: 'Active' },
    }
  },
  prepareForUpdate(next, old, { subresource }) {
    if (subresource === 'finalize') return withField(next, 'status', old.status)
    if (subresource === 'status') return withField(next, 'spec', old.spec)
    return withField(withField(next, 'spec', { ...next.spec, finalizers: old.spec?.finalizers }), 'status', old.status)
  },
  validate(namespace) {
    const errors: FieldErrors = []
    for (const finalizer of namespace.spec?.finalizers ?? []) validateFinalizerName(errors, 'spec.finalizers', finalizer)
    return errors
  },
  validateStatusUpdate(next) {
    const wanted = next.metadata?.deletionTimestamp ? 'Terminating' : 'Active'
    if (next.status?.phase === wanted) return []
    return [
      invalid(
        'status.Phase',
        next.status?.phase ?? '',
        `may only be '${wanted}' if \`deletionTimestamp\` is ${wanted === 'Active' ? '' : 'not '}empty`,
      ),
    ]
  },
})
