/**
 * Chunks: what an update log is made of. `UpdateLog` exports them.
 *
 * @since 0.1.0
 */

/**
 * Some updates of a run, appended together.
 *
 * **Details**
 *
 * | field | meaning |
 * | --- | --- |
 * | `from` | the offset of its first update: how many updates of the run are before it |
 * | `count` | how many updates it holds; 0 in a chunk that only says whether the run ended |
 * | `epoch` | the fence of the lease under which it was written |
 * | `ended` | whether the run ended with it, as far as its writer knows |
 * | `body` | the updates, and where the writer goes on after them, as text. A log keeps it as it is |
 *
 * @since 0.1.0
 * @category models
 */
export interface Chunk {
  readonly from: number
  readonly count: number
  readonly epoch: number
  readonly ended: boolean
  readonly body: string
}
