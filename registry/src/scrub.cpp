#include "skerry/registry/scrub.hpp"

#include <algorithm>

namespace skerry::registry {
namespace {

Error scrub_cancelled() {
  return {Error::Code::kCancelled, "the scrub was cancelled"};
}

// Longest unchecked first.
bool due_before(const BlobRecord& a, const BlobRecord& b) {
  if (a.chunks.has_value() != b.chunks.has_value()) {
    return a.chunks.has_value();
  }
  return a.verified_at < b.verified_at;
}

}  // namespace

Scrubber::Scrubber(BlobStore& store, Catalogue& catalogue, const Clock& clock, Fetcher::Pause pause)
    : store_(store), catalogue_(catalogue), clock_(clock), pause_(std::move(pause)) {}

Result<ScrubReport> Scrubber::run(const ScrubOptions& options,
                                  const CancelFlag& cancel,
                                  const Heal& heal) {
  auto records = catalogue_.list_blobs();
  if (!records) {
    return records.error().with_context("scrub");
  }
  std::stable_sort(records->begin(), records->end(), due_before);
  ScrubReport report;
  TokenBucket bucket{options.rate_limit, 0, clock_.boot_now()};
  const auto now = clock_.wall_now();
  for (const auto& record : *records) {
    // A time of check in the future is a clock that was set back: check again.
    const bool recent = record.verified_at <= now && now - record.verified_at < options.older_than;
    if (record.state != BlobState::kPresent || (!record.chunks && recent)) {
      ++report.skipped;
      continue;
    }
    if (options.max_bytes != 0 && report.bytes >= options.max_bytes) {
      break;
    }
    if (cancel.cancelled()) {
      return scrub_cancelled();
    }
    if (auto ok = scrub(record, bucket, cancel, heal, report); !ok) {
      return ok.error().with_context("scrub");
    }
  }
  return report;
}

Result<void> Scrubber::scrub(const BlobRecord& record,
                             TokenBucket& bucket,
                             const CancelFlag& cancel,
                             const Heal& heal,
                             ScrubReport& report) {
  const bool had_record = store_.contains(record.digest).value_or(true);
  const auto blob = store_.reverify(record.digest, [&](std::size_t bytes) -> Result<void> {
    pause_(bucket.take(bytes, clock_.boot_now()));
    return cancel.cancelled() ? Result<void>{scrub_cancelled()} : Result<void>{};
  });
  if (blob) {
    ++report.blobs;
    report.bytes += record.size;
    report.settled += record.chunks ? 1U : 0U;
    return {};
  }
  const auto code = blob.error().code();
  if (code == Error::Code::kNotFound && !had_record) {
    return {};  // collected since the list was made
  }
  if (code != Error::Code::kDigestMismatch && code != Error::Code::kNotFound) {
    return blob.error();
  }
  report.bytes += code == Error::Code::kDigestMismatch ? record.size : 0;
  report.findings.push_back(repair(record, heal));
  return {};
}

ScrubFinding Scrubber::repair(const BlobRecord& record, const Heal& heal) {
  ScrubFinding finding{record.digest, record.size, false, {}};
  const auto named = find_named(catalogue_, record.digest);
  if (!named) {
    finding.detail = named.error().message();
    return finding;
  }
  if (!*named) {
    finding.detail = "no manifest names it as a file; it is fetched again when it is needed";
    return finding;
  }
  finding.detail = (*named)->name;
  if (!heal) {
    finding.detail += ": there is no source to fetch it from";
    return finding;
  }
  const auto healed = heal((*named)->wanted);
  finding.healed = healed.has_value();
  finding.detail += healed ? ": fetched again" : ": " + healed.error().message();
  return finding;
}

Result<std::optional<NamedBlob>> find_named(Catalogue& catalogue, const Digest& digest) {
  const auto manifests = catalogue.list_manifests();
  if (!manifests) {
    return manifests.error();
  }
  for (const auto& verified : *manifests) {
    const auto name = [&](const ManifestFile& file) {
      return NamedBlob{WantedBlob::from(file),
                       verified.manifest.model.to_string() + " " +
                           verified.manifest.version.to_string() + " " + file.name};
    };
    for (const auto& variant : verified.manifest.variants) {
      for (const auto& file : verified.manifest.files_for(variant)) {
        if (file.digest == digest) {
          return std::optional{name(file)};
        }
      }
    }
    for (const auto& file : verified.manifest.shared) {
      if (file.digest == digest) {
        return std::optional{name(file)};
      }
    }
  }
  return std::optional<NamedBlob>{};
}

}  // namespace skerry::registry
