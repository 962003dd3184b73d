/** The public entry `proa/simulation`: virtual time, seeds and faults. */
export { seededRandom } from '../base/random.ts'
export type { Random } from '../base/random.ts'
export { withFaults } from './faults.ts'
export type { FaultPlan, FaultyTransport } from './faults.ts'
export { createVirtualClock } from './virtual-clock.ts'
export type { VirtualClock } from './virtual-clock.ts'
