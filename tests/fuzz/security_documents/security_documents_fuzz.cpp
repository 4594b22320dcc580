// Revocations and downgrade permits: any bytes parse or are refused; what parses is written as it
// is read, and answers every question.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "skerry/security/downgrade_permits.hpp"
#include "skerry/security/revocations.hpp"

using skerry::Digest;
using skerry::security::DowngradePermits;
using skerry::security::Revocations;
using skerry::security::RevocationSubject;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (const auto document = Revocations::parse(text)) {
    const auto again = Revocations::parse(document->document());
    if (!again || again->document() != document->document() ||
        again->entries().size() != document->entries().size()) {
      std::abort();
    }
    RevocationSubject subject;
    subject.model = "acme/log-triage";
    subject.version = "1.2.0";
    subject.release_counter = 7;
    subject.manifest = Digest::of("m");
    subject.blobs = {Digest::of("b")};
    const auto* found = document->find(subject);
    for (const auto& entry : document->entries()) {
      // A rule for every model names this one too, and nothing weaker wins.
      if (entry.model == "*" && entry.versions.empty() && !entry.below_counter &&
          (found == nullptr || found->effect < entry.effect)) {
        std::abort();
      }
    }
  }
  if (const auto permits = DowngradePermits::parse(text)) {
    const auto again = DowngradePermits::parse(permits->document());
    if (!again || again->document() != permits->document()) {
      std::abort();
    }
    for (const auto& permit : permits->matching("gw-1", "acme/log-triage", 9, 7)) {
      if (permit.from_counter < 9 || permit.to_counter > 7) {
        std::abort();
      }
    }
  }
  return 0;
}
