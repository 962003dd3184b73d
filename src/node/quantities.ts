/** Quantities as the node needs them: whole bytes and thousandths of a CPU, rounded up; what is not given is 0. */
import { toMilli, toNumber } from '../api/quantity.ts'

export const milliOf = (quantity: string | number | undefined): number => (quantity === undefined ? 0 : toMilli(String(quantity)))
export const bytesOf = (quantity: string | number | undefined): number => (quantity === undefined ? 0 : toNumber(String(quantity)))
