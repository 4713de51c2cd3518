-- The score of each departed flight by the models that are champions now, one trained in SQL and one by
-- scikit-learn; no Python is called.
select
  flight_id, time_hour, carrier, is_late,
  predicted_is_late,
  predicted_is_late_probs[2]['prob'] as p_late,
  delay_model_sklearn(dep_delay, distance, hour, humid, wind_speed, precip_6h, visib, route_late_rate_1d)
    as p_late_sklearn
from ml.predict(model delay_model, (
  select * replace (least(dep_delay, 180) as dep_delay) from {{ ref('feat_flight') }}
))
