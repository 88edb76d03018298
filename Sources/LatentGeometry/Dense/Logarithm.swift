import Glibc

// The law's logarithms and exponentials in one place.
func ln(_ x: Double) -> Double { Glibc.log(x) }
func ln1p(_ x: Double) -> Double { Glibc.log1p(x) }
func expm1(_ x: Double) -> Double { Glibc.expm1(x) }
func exponential(_ x: Double) -> Double { Glibc.exp(x) }

/// 10 log10 of a power ratio given as its natural logarithm.
@inlinable public func decibels(ln x: Double) -> Double { x * 4.342944819032518 }
/// Bits of nats.
@inlinable public func bits(nats x: Double) -> Double { x * 1.4426950408889634 }

/// The x in lower ... upper where the increasing function reaches `target`; an end if it lies beyond. Bisection to the last bit.
func bisected(_ lower: Double, _ upper: Double, target: Double, _ f: (Double) -> Double) -> Double {
  var a = lower, b = upper
  while true {
    let m = 0.5 * (a + b)
    if !(m > a && m < b) { return m }
    if f(m) < target { a = m } else { b = m }
  }
}
