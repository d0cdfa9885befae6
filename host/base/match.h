// Lambdas for each alternative of a variant.
#pragma once

namespace flotilla::base {

// std::visit(Match{[](const A&) {…}, [](const B&) {…}}, variant)
template <typename... Cases>
struct Match : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Match(Cases...) -> Match<Cases...>;  // clang 14 does not deduce aggregates

}  // namespace flotilla::base
