/** How much of a device that several claims share each of them uses up (KEP-5075). Amounts are in thousand millionths of a unit. */
import type { CapacityRequestPolicy, CapacityRequirements, Device, DeviceCapacity } from '../../api/generated/resource/v1.ts'
import { formatQuantity, parseQuantity } from '../../api/quantity.ts'

/** Used amounts by the name of the capacity. */
export type Capacities = ReadonlyMap<string, bigint>

const nano = (quantity: string): bigint => parseQuantity(quantity).nano

/** What is used up: what was asked for, rounded up to what the device allows; all of it when nothing was asked for. */
function consumedOf(requested: bigint | undefined, { value, requestPolicy }: DeviceCapacity): bigint {
  if (requested === undefined) return nano(requestPolicy?.default ?? value)
  if (!requestPolicy) return requested
  const { validRange, validValues } = requestPolicy
  if (validRange) {
    const least = nano(validRange.min)
    if (requested < least) return least
    if (validRange.step === undefined) return requested
    const step = nano(validRange.step)
    return least + ((requested - least + step - 1n) / step) * step
  }
  return validValues?.map(nano).find((valid) => requested <= valid) ?? requested
}

function isAllowed(amount: bigint, policy: CapacityRequestPolicy | undefined): boolean {
  if (!policy || (policy.default !== undefined && amount === nano(policy.default))) return true
  if (policy.validRange?.max !== undefined && amount > nano(policy.validRange.max)) return false
  return !policy.validValues?.length || policy.validRange !== undefined || policy.validValues.some((valid) => nano(valid) === amount)
}

/** What the request uses up of the device beside what is used, or undefined when it does not fit. */
export function consume(device: Device, wanted: CapacityRequirements | undefined, used: Capacities): Capacities | undefined {
  const requests = wanted?.requests ?? {}
  for (const name in requests) if (device.capacity?.[name] === undefined) return undefined
  const consumed = new Map<string, bigint>()
  for (const [name, capacity] of Object.entries(device.capacity ?? {})) {
    const request = requests[name]
    const amount = consumedOf(request === undefined ? undefined : nano(request), capacity)
    if (!isAllowed(amount, capacity.requestPolicy)) return undefined
    if (amount + (used.get(name) ?? 0n) > nano(capacity.value)) return undefined
    consumed.set(name, amount)
  }
  return consumed
}

/** In the formats of the device's own amounts. */
export const formatCapacities = (device: Device, consumed: Capacities): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...consumed].map(([name, amount]) => [
      name,
      formatQuantity({ nano: amount, format: parseQuantity(device.capacity?.[name]?.value ?? '0').format }),
    ]),
  )

export function addCapacities(sums: Map<string, bigint>, change: Capacities, sign: 1n | -1n): void {
  for (const [name, amount] of change) sums.set(name, (sums.get(name) ?? 0n) + sign * amount)
}

export const parseCapacities = (consumed: Readonly<Record<string, string>>): Capacities =>
  new Map(Object.entries(consumed).map(([name, quantity]) => [name, nano(quantity)]))
