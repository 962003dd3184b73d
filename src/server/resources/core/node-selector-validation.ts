/** Rules of node selectors: in the affinity of pods and of volumes. */
import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from '../../../api/generated/core/v1.ts'
import { dns1123SubdomainFaults, labelValueFaults, qualifiedNameFaults } from '../../../api/names.ts'
import { checkFormat, forbidden, invalid, required, type FieldErrors } from '../rules.ts'

const FIELD_KEY = 'metadata.name'
const BAD_OPERATOR = 'not a valid selector operator'

/** What a pod would only like may ask for labels that no node can have. */
interface Leniency {
  readonly areValuesFree?: boolean
}

function validateRequirement(
  errors: FieldErrors,
  path: string,
  { key, operator, values = [] }: NodeSelectorRequirement,
  { areValuesFree = false }: Leniency,
): void {
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) errors.push(forbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
  } else if (operator === 'Gt' || operator === 'Lt') {
    if (values.length !== 1) errors.push(required(`${path}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
  } else errors.push(invalid(`${path}.operator`, operator ?? '', BAD_OPERATOR))
  checkFormat(errors, `${path}.key`, key ?? '', qualifiedNameFaults)
  if (!areValuesFree) values.forEach((value, i) => checkFormat(errors, `${path}.values[${i}]`, value, labelValueFaults))
}

function validateFieldRequirement(errors: FieldErrors, path: string, { key, operator, values = [] }: NodeSelectorRequirement): void {
  if (operator !== 'In' && operator !== 'NotIn') errors.push(invalid(`${path}.operator`, operator ?? '', BAD_OPERATOR))
  else if (values.length !== 1)
    errors.push(required(`${path}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
  if (key !== FIELD_KEY) errors.push(invalid(`${path}.key`, key ?? '', 'not a valid field selector key'))
  else values.forEach((value, i) => checkFormat(errors, `${path}.values[${i}]`, value, dns1123SubdomainFaults))
}

export function validateNodeSelectorTerm(errors: FieldErrors, path: string, term: NodeSelectorTerm, leniency: Leniency = {}): void {
  term.matchExpressions?.forEach((requirement, i) => validateRequirement(errors, `${path}.matchExpressions[${i}]`, requirement, leniency))
  term.matchFields?.forEach((requirement, i) => validateFieldRequirement(errors, `${path}.matchFields[${i}]`, requirement))
}

export function validateNodeSelector(errors: FieldErrors, path: string, selector: NodeSelector): void {
  const terms = selector.nodeSelectorTerms ?? []
  if (terms.length === 0) errors.push(required(`${path}.nodeSelectorTerms`, 'must have at least one node selector term'))
  terms.forEach((term, i) => validateNodeSelectorTerm(errors, `${path}.nodeSelectorTerms[${i}]`, term))
}
