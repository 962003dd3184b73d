/** A definition as the registry takes it: one stored kind with all the versions that are served. */
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from '../../api/generated/apiextensions/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { apiVersionOf, type ResourceInfo, type SubresourceInfo, type Verb } from '../../api/schema.ts'
import { failure } from '../../api/status.ts'
import type { Resource } from '../resource.ts'
import type { ServedVersion } from '../resource-registry.ts'
import { qualifiedNameFaults } from '../../api/names.ts'
import { isConditionTrue } from './conditions.ts'
import { converterOf, type Converter, type ConversionWebhook } from './conversion.ts'
import { customRules, shownBy, storedBy } from './custom-rules.ts'
import { parseJsonPath } from './json-path.ts'
import { printerColumns } from './printer-columns.ts'
import { publishedSchema } from './published-schema.ts'
import { scalePaths } from './scale-paths.ts'
import { compileSchema, type Structural } from './structural.ts'
import type { ValidationRules } from './validation-rules.ts'
import { compareVersions } from './version-order.ts'

const VERBS: readonly Verb[] = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch']
/** Nothing new is made of a kind that is going. */
const TERMINATING_VERBS: readonly Verb[] = ['delete', 'deletecollection', 'get', 'list', 'watch']
const PART_VERBS: readonly Verb[] = ['get', 'patch', 'update']

export interface Serving {
  readonly resource: Resource
  readonly versions: readonly ServedVersion[]
}

export function servingOf(
  definition: CustomResourceDefinition,
  rules: ValidationRules | undefined,
  webhook: ConversionWebhook | undefined,
): Serving {
  const { spec } = definition
  const isTerminating = isConditionTrue(definition, 'Terminating')
  const stored = spec.versions.find(({ storage }) => storage)!
  const schemas = new Map(spec.versions.map((version) => [version.name, schemaOf(version, spec.preserveUnknownFields ?? false)]))
  const converter = converterOf(definition, webhook)
  const served = spec.versions
    .filter((version) => version.served || version === stored)
    .toSorted((a, b) => compareVersions(a.name, b.name))
    .map((version) => serveVersion({ definition, version, schemas, stored, converter, rules, isTerminating }))
  return { resource: resourceOf(definition, stored, isTerminating), versions: served }
}

const schemaOf = ({ schema }: CustomResourceDefinitionVersion, isPreserving: boolean): Structural | undefined => {
  if (!schema?.openAPIV3Schema) return undefined
  // Definitions older than v1 may keep what their schemas do not know; pruning is then as if the root said so.
  return compileSchema(isPreserving ? { ...schema.openAPIV3Schema, 'x-kubernetes-preserve-unknown-fields': true } : schema.openAPIV3Schema)
}

interface Context {
  readonly definition: CustomResourceDefinition
  readonly version: CustomResourceDefinitionVersion
  readonly schemas: ReadonlyMap<string, Structural | undefined>
  readonly stored: CustomResourceDefinitionVersion
  readonly converter: Converter
  readonly rules: ValidationRules | undefined
  readonly isTerminating: boolean
}

function serveVersion({ definition, version, schemas, stored, converter, rules, isTerminating }: Context): ServedVersion {
  const { spec } = definition
  const info = infoOf(definition, version)
  const schema = schemas.get(version.name)
  const apiVersion = apiVersionOf(info)
  const storedApiVersion = apiVersionOf({ group: spec.group, version: stored.name })
  const scale = version.subresources?.scale && scalePaths(version.subresources.scale)
  const props = version.schema?.openAPIV3Schema
  return {
    info,
    rules: customRules({
      schema,
      hasStatus: version.subresources?.status !== undefined,
      scale,
      ruleCheck: props && rules?.compile(props),
    }),
    custom: {
      isHidden: !version.served,
      ...(isTerminating ? { discovered: { ...info, verbs: TERMINATING_VERBS } } : {}),
      isConvertedOutside: converter.isOutside,
      fromStored: (object) => shownBy(converter.convert(object, apiVersion), schema),
      // What a webhook is to convert stays in its version until it is stored.
      toStored: (object) => (converter.isOutside ? object : converter.convert(object, storedApiVersion)),
      forStorage: (object) => storedBy(converter.convert(object, storedApiVersion), schemas.get(stored.name)),
      columns: printerColumns(version.additionalPrinterColumns),
      fieldSelectors: selectableFields(version),
      ...(scale ? { scale: scale.scale } : {}),
      ...(version.deprecated ? { warning: version.deprecationWarning ?? deprecation(definition, version) } : {}),
      published: publishedSchema(definition, version),
    },
  }
}

function infoOf({ spec, status }: CustomResourceDefinition, { name, subresources }: CustomResourceDefinitionVersion): ResourceInfo {
  const names = status!.acceptedNames!
  const kind = { group: spec.group, version: name, kind: names.kind }
  const parts: SubresourceInfo[] = []
  if (subresources?.status) parts.push({ name: 'status', verbs: PART_VERBS, kind })
  if (subresources?.scale) parts.push({ name: 'scale', verbs: PART_VERBS, kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' } })
  return {
    ...kind,
    ...(names.listKind && names.listKind !== `${names.kind}List` ? { listKind: names.listKind } : {}),
    resource: names.plural,
    singular: names.singular ?? '',
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    namespaced: spec.scope === 'Namespaced',
    verbs: VERBS,
    subresources: parts,
    type: undefined,
  }
}

function resourceOf({ spec, status }: CustomResourceDefinition, stored: CustomResourceDefinitionVersion, isTerminating: boolean): Resource {
  return {
    group: spec.group,
    version: stored.name,
    kind: status!.acceptedNames!.kind,
    warnings: finalizerWarnings,
    ...(isTerminating
      ? {
          refuseCreate: (name: string) =>
            failure(
              'Forbidden',
              `${spec.names.plural}.${spec.group} ${JSON.stringify(name)} is forbidden: create not allowed while custom resource definition is terminating`,
              { details: { ...(name ? { name } : {}), group: spec.group, kind: spec.names.plural } },
            ),
        }
      : {}),
  }
}

const STANDARD_FINALIZERS: ReadonlySet<string> = new Set(['orphan', 'foregroundDeletion', 'kubernetes'])

/** Names of finalizers that others may use too are warned of. */
function finalizerWarnings(object: KubeObject, old: KubeObject | undefined): readonly string[] {
  const known = new Set(old?.metadata?.finalizers)
  return (object.metadata?.finalizers ?? [])
    .filter((name) => !known.has(name))
    .toSorted()
    .flatMap((name) => {
      const told = `metadata.finalizers: ${JSON.stringify(name)}: `
      const faults = qualifiedNameFaults(name).map((fault) => told + fault)
      if (name.includes('/') || STANDARD_FINALIZERS.has(name)) return faults
      const path = name.includes('.') ? ' including a path (/)' : ''
      return [
        ...faults,
        `${told}prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`,
      ]
    })
}

function selectableFields({
  selectableFields: fields = [],
}: CustomResourceDefinitionVersion): Readonly<Record<string, (object: KubeObject) => string>> {
  return Object.fromEntries(
    fields.map(({ jsonPath }) => {
      const read = parseJsonPath(jsonPath)
      const cell = (object: KubeObject): string => {
        const [found] = read?.(object) ?? []
        return typeof found === 'object' || found === undefined ? '' : String(found)
      }
      return [jsonPath.replace(/^\./, ''), cell]
    }),
  )
}

function deprecation({ spec }: CustomResourceDefinition, { name }: CustomResourceDefinitionVersion): string {
  const text = `${spec.group}/${name} ${spec.names.kind} is deprecated`
  const [better] = spec.versions
    .filter((version) => version.served && !version.deprecated && compareVersions(version.name, name) < 0)
    .toSorted((a, b) => compareVersions(a.name, b.name))
  return better ? `${text}; use ${spec.group}/${better.name} ${spec.names.kind}` : text
}
