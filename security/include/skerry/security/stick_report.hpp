#pragma once

// What a device's key signs of a report that travels on a stick (docs/formats/bundle.md). The
// heading keeps the signature from meaning anything else that this key signs. Made by the agent,
// checked by the controller.

#include <string>
#include <string_view>

namespace skerry::security {

inline std::string stick_report_statement(std::string_view report) {
  std::string statement = "skerry-stick-report/1\n";
  statement += report;
  return statement;
}

}  // namespace skerry::security
