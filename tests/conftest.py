"""How property tests are run: the same examples every time, and no wall time.

``HYPOTHESIS_PROFILE=explore`` looks for new examples instead; what fails is printed as the values that repeat it.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "same", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", deadline=None, print_blob=True, max_examples=500, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

os.environ["RASFLEET_CONFIG"] = os.devnull  # nobody's own login to brokers is a test's

pytest_plugins = ["tests.kafka.fixtures"]
