/** Rules of the conditions in a status (apimachinery's metav1 Condition). */
import type { Condition } from '../../api/generated/meta/v1.ts'
import { qualifiedNameFaults, regexFault } from '../../api/names.ts'
import { checkFormat, checkOneOf, duplicate, invalid, required, tooLong, type FieldErrors } from './rules.ts'

const REASON = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?'
const REASON_PATTERN = new RegExp(`^${REASON}$`)
const REASON_FAULT = regexFault(
  "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
  REASON,
  'my_name',
  'MY_NAME',
  'MyName',
  'ReasonA,ReasonB',
  'ReasonA:ReasonB',
)
const MAX_REASON_BYTES = 1024
const MAX_MESSAGE_BYTES = 32 * 1024

export function validateConditions(errors: FieldErrors, path: string, conditions: readonly Partial<Condition>[] | undefined): void {
  const types = new Set<string>()
  conditions?.forEach(({ type = '', status, observedGeneration = 0, lastTransitionTime, reason, message = '' }, i) => {
    const at = `${path}[${i}]`
    if (types.has(type)) errors.push(duplicate(`${at}.type`, type))
    types.add(type)
    checkFormat(errors, `${at}.type`, type, qualifiedNameFaults)
    checkOneOf(errors, `${at}.status`, status, ['False', 'True', 'Unknown'])
    if (observedGeneration < 0)
      errors.push(invalid(`${at}.observedGeneration`, observedGeneration, 'must be greater than or equal to zero'))
    if (!lastTransitionTime) errors.push(required(`${at}.lastTransitionTime`))
    if (!reason) errors.push(required(`${at}.reason`))
    else {
      if (!REASON_PATTERN.test(reason)) errors.push(invalid(`${at}.reason`, reason, REASON_FAULT))
      if (reason.length > MAX_REASON_BYTES) errors.push(tooLong(`${at}.reason`, MAX_REASON_BYTES))
    }
    if (message.length > MAX_MESSAGE_BYTES) errors.push(tooLong(`${at}.message`, MAX_MESSAGE_BYTES))
  })
}
