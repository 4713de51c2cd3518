select id, predicted_y, risk(x0, x1, x2, x3, x4, x5, x6, x7, x8, x9) as p
from ml.predict(model risk, table {{ source('bench', 'rows') }})
