#pragma once

// The compiled grammars that are in use, by their text: the choices of one request, and requests
// that are equal, share one. It holds none itself: what nobody uses any more is gone. For the
// scheduler; not thread-safe. ADR 0104.

#include <map>
#include <memory>
#include <string_view>

#include "skerry/common/digest.hpp"
#include "skerry/runtime/grammar.hpp"

namespace skerry::runtime {

class GrammarShelf {
 public:
  // Compiles it unless somebody uses the same text. kInvalidArgument as Grammar::parse.
  Result<std::shared_ptr<const Grammar>> get(std::string_view text);
  // In use at the last `get`, its own one included.
  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  std::map<Digest, std::weak_ptr<const Grammar>> known_;
};

}  // namespace skerry::runtime
