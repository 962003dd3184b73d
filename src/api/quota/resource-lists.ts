/** Arithmetic of resource lists: names with quantities, as quotas hold them. */
import type { ResourceList } from '../pod-resources.ts'
import { addQuantities, canonicalQuantity, compareQuantities, subtractQuantities } from '../quantity.ts'

export function addLists(a: ResourceList, b: ResourceList): ResourceList {
  const sum: Record<string, string> = { ...a }
  for (const [name, amount] of Object.entries(b)) sum[name] = sum[name] === undefined ? amount : addQuantities(sum[name], amount)
  return sum
}

/** a - b, never below zero, for the names of a. */
export const subtractLists = (a: ResourceList, b: ResourceList): ResourceList =>
  Object.fromEntries(
    Object.entries(a).map(([name, amount]) => {
      const rest = b[name] === undefined ? amount : subtractQuantities(amount, b[name])
      return [name, compareQuantities(rest, '0') > 0 ? rest : '0']
    }),
  )

export const pickNames = (list: ResourceList, isWanted: (name: string) => boolean): ResourceList =>
  Object.fromEntries(Object.entries(list).filter(([name]) => isWanted(name)))

export const withoutZeros = (list: ResourceList): ResourceList =>
  Object.fromEntries(Object.entries(list).filter(([, amount]) => compareQuantities(amount, '0') !== 0))

/** The same names with the same amounts, however they are written. */
export function isSameList(a: ResourceList | undefined, b: ResourceList | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  const names = Object.keys(a)
  return (
    names.length === Object.keys(b).length && names.every((name) => b[name] !== undefined && compareQuantities(a[name]!, b[name]) === 0)
  )
}

/** "cpu=1,pods=2", as upstream's messages have it. */
export const printList = (list: ResourceList): string =>
  Object.keys(list)
    .sort()
    .map((name) => `${name}=${canonicalQuantity(list[name]!)}`)
    .join(',')
