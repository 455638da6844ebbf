/** A text as a model writes it, in the pieces in which its deltas come: about one for each word. */
const text =
  "The report covers the eight weeks from the beginning of October to the end of November. In that time the number of " +
  "orders grew by eleven percent, while the number of returns stayed the same. Most of the growth came from customers " +
  "who had ordered before: they came back sooner, and ordered more at once. New customers were as many as in the same " +
  "weeks of the year before. Three regions did worse than expected. In the north, two warehouses were closed for repairs, " +
  "and parcels took four days longer. In the east, a competitor lowered its prices in the middle of October; it raised " +
  "them again three weeks later. In the south, we have no explanation yet. The figures of the south should be looked at " +
  "again when those of December are there. For the next quarter we recommend three things. First, keep the stock of the " +
  "ten articles that sold out in November at twice the usual amount. Second, tell customers earlier when a parcel will " +
  "be late: half of the complaints were about parcels that came in the end, but later than announced. Third, ask the " +
  "customers of the south. A short survey costs less than a wrong guess.\n\n## Methods\n\nOrders were counted on the day " +
  "on which they were paid. Returns were counted on the day on which they arrived, and not on that of the order. "

const pieces = text.match(/\s*(?:\w{1,7}|[^\w\s])|\s+$/g) ?? []

/** Five hundred pieces. */
export const prose: ReadonlyArray<string> = Array.from({ length: 500 }, (_, i) => pieces[i % pieces.length] ?? "")
